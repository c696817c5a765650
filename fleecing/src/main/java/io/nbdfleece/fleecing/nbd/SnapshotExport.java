// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.fleecing.hook.FrozenExtent;
import io.nbdfleece.fleecing.hook.SnapshotView;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToIntFunction;

/// A frozen view as a backup client sees it. It never changes, so any number of connections agree.
final class SnapshotExport implements Export {
  /// Where the content is now: see [#tier].
  static final String TIER = "x-nbdfleece:tier";

  private static final List<String> BASE_ONLY = List.of(ExportInfo.BASE_ALLOCATION);

  private final String snapshot;
  private final Snapshot.Part part;
  private final SnapshotView view;
  private final ShownContexts shown;
  private final ExportInfo info;

  /// As clients of the snapshot find it under its own name.
  static SnapshotExport of(Snapshot of, Snapshot.Part part, int preferredBlockBytes) {
    return new SnapshotExport(
        of.name(),
        part,
        preferredBlockBytes,
        description(of, part, part.since()),
        true,
        frozen(part, List.of()));
  }

  /// Unlike any other snapshot's, so that a client can tell whether it is still the same, and where
  /// in a chain of backups it stands: `snapshot S of disk D, frozen T[, since C (T)][, starts C
  /// (T)][, zero outside]`.
  ///
  /// @param since empty where it is not told which of the bitmaps shown begins there: a delta of
  ///   another one must not be taken for one since then
  static String description(Snapshot of, Snapshot.Part part, Optional<Snapshot.Part.Point> since) {
    Outside outside = of.request().increment().outside();
    return "snapshot "
        + of.name()
        + " of disk "
        + part.disk().config().name()
        + ", frozen "
        + of.created()
        + since.map(point -> ", since " + shown(point)).orElse("")
        + part.starts().map(point -> ", starts " + shown(point)).orElse("")
        + (part.dirty().isEmpty() || outside == Outside.DATA
            ? ""
            : ", " + outside.name().toLowerCase(Locale.ROOT) + " outside");
  }

  private static String shown(Snapshot.Part.Point point) {
    return ShownNames.of(point.checkpoint()) + " (" + point.created() + ")";
  }

  /// @param trimmable whether a snapshot that allows it may be trimmed
  SnapshotExport(
      String snapshot,
      Snapshot.Part part,
      int preferredBlockBytes,
      String description,
      boolean trimmable,
      ShownContexts shown) {
    this.snapshot = snapshot;
    this.part = part;
    this.view = part.view();
    this.shown = shown;
    // TRIM needs an export that is not read-only; WRITE and WRITE_ZEROES stay refused.
    Set<Ability> abilities =
        trimmable && view.terms().access() == Access.DISCARD
            ? EnumSet.of(Ability.TRIM, Ability.FLUSH, Ability.CACHE, Ability.MULTI_CONN)
            : EnumSet.of(Ability.FLUSH, Ability.CACHE, Ability.MULTI_CONN);
    List<String> contexts = new ArrayList<>(BASE_ONLY);
    contexts.addAll(shown.names());
    contexts.add(TIER);
    this.info =
        new ExportInfo(
            view.sizeBytes(),
            description,
            abilities,
            part.disk().hook().blockBytes(),
            preferredBlockBytes,
            contexts);
  }

  /// The bitmap that came with the snapshot, unless another one has its name, others, and the
  /// allocation depth.
  static ShownContexts frozen(Snapshot.Part part, List<ShownContexts.Bitmap> others) {
    List<ShownContexts.Bitmap> bitmaps = new ArrayList<>();
    part.dirty()
        .filter(dirty -> others.stream().noneMatch(o -> o.name().equals(dirty.exportedAs())))
        .ifPresent(
            dirty ->
                bitmaps.add(new ShownContexts.Bitmap(dirty.exportedAs(), dirty::granules, false)));
    bitmaps.addAll(others);
    return new ShownContexts(bitmaps, true);
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  @Override
  public void connected() {
    part.clients().came();
  }

  @Override
  public void disconnected() {
    part.clients().left();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    view.read(offsetBytes, target, BlockCompletions.to(done));
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    done.failed(frozen());
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    if (view.terms().access() == Access.DISCARD) {
      view.discard(offsetBytes, lengthBytes, BlockCompletions.to(done));
    } else {
      done.failed(frozen());
    }
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    done.failed(frozen());
  }

  @Override
  public void flush(Completion done) {
    done.succeeded(); // nothing here is ever written
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    view.prefetch(offsetBytes, lengthBytes, BlockCompletions.to(done));
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    if (contexts.equals(BASE_ONLY)) {
      view.status(offsetBytes, lengthBytes, extentsMax, BlockCompletions.to(contexts, done));
    } else {
      ContextAnswers answers = new ContextAnswers(contexts, done);
      shown.answer(
          answers,
          offsetBytes,
          lengthBytes,
          extentsMax,
          () -> finish(answers, offsetBytes, lengthBytes, extentsMax));
    }
  }

  private void finish(ContextAnswers answers, long offsetBytes, long lengthBytes, int extentsMax) {
    try {
      // A view that has ended has no status, of whichever context: that is looked at in any case,
      // and what comes below looks for itself.
      boolean located = answers.wants(TIER) || answers.wants(ShownContexts.ALLOCATION_DEPTH);
      List<FrozenExtent> sources =
          located || !answers.wants(ExportInfo.BASE_ALLOCATION)
              ? view.sources(offsetBytes, located ? lengthBytes : 1, extentsMax)
              : List.of();
      if (answers.wants(TIER)) {
        answers.put(TIER, translated(sources, SnapshotExport::tier));
      }
      if (answers.wants(ShownContexts.ALLOCATION_DEPTH)) {
        answers.put(ShownContexts.ALLOCATION_DEPTH, translated(sources, SnapshotExport::depth));
      }
    } catch (IOException e) {
      answers.failed(e);
      return;
    }
    List<String> missing = answers.missing();
    if (missing.isEmpty()) {
      answers.succeeded(List.of());
    } else {
      view.status(offsetBytes, lengthBytes, extentsMax, BlockCompletions.to(missing, answers));
    }
  }

  private static List<Extent> translated(
      List<FrozenExtent> sources, ToIntFunction<FrozenExtent.Source> flags) {
    return sources.stream()
        .map(extent -> new Extent(extent.lengthBytes(), flags.applyAsInt(extent.source())))
        .toList();
  }

  /// What `x-nbdfleece:tier` says: a number, not bits.
  private static int tier(FrozenExtent.Source source) {
    return switch (source) {
      case DISK -> 0;
      case RAM -> 1;
      case SPILLED -> 2;
      case ZERO -> 3;
      case RELEASED -> 4;
      case OUTSIDE -> 5;
      case LOST -> 6;
    };
  }

  private static int depth(FrozenExtent.Source source) {
    return source == FrozenExtent.Source.OUTSIDE ? 0 : 1;
  }

  private NbdException frozen() {
    return new NbdException(
        NbdError.EPERM, "snapshot " + snapshot + " is frozen; it can only be read");
  }
}
