// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Deltas that are to be applied one after the other, oldest first: whether they go together, and
/// with an image.
///
/// ```
///   an image has shown     c1 ── c2
///   a delta may be              c2 ── c3
///   or                     c1 ─────────── c3
///   not                              c3 ── c4
///   nor                    c1 ── c2
/// ```
///
/// Applying a delta from a point that the image has shown to one later than what it shows makes it
/// show that one: what the delta does not name has not changed from its start to its end, and so
/// neither from what the image shows to its end.
///
/// An image that shows where the deltas lead is what they make of it, and so is one in which they
/// were begun: they can be applied again.
final class DeltaChain {
  private final List<Path> deltas;
  private final List<DeltaSource> sources;

  private DeltaChain(List<Path> deltas, List<DeltaSource> sources) {
    this.deltas = deltas;
    this.sources = sources;
  }

  /// Fails unless they are of one disk, the oldest first, and, as far as they tell, without a gap.
  ///
  /// @param deltas for messages, as many as there are sources
  static DeltaChain of(List<Path> deltas, List<DeltaSource> sources) throws CommandFailure {
    DeltaChain chain = new DeltaChain(List.copyOf(deltas), List.copyOf(sources));
    for (int i = 1; i < sources.size(); i++) {
      chain.checkDisk(i);
      chain.checkOrder(i);
    }
    return chain;
  }

  private void checkDisk(int index) throws CommandFailure {
    DeltaSource before = sources.get(index - 1);
    DeltaSource now = sources.get(index);
    boolean otherDisk =
        before.disk().isPresent() && now.disk().isPresent() && !before.disk().equals(now.disk());
    if (otherDisk || before.sizeBytes() != now.sizeBytes()) {
      throw new CommandFailure(
          ExitCode.USAGE,
          deltas.get(index)
              + ": is of another disk than "
              + deltas.get(index - 1)
              + ", "
              + described(now)
              + " and "
              + described(before)
              + ": give the deltas of one disk");
    }
  }

  private static String described(DeltaSource source) {
    return source.disk().orElse(source.export()) + " of " + ByteSize.format(source.sizeBytes());
  }

  private void checkOrder(int index) throws CommandFailure {
    DeltaSource before = sources.get(index - 1);
    DeltaSource now = sources.get(index);
    if (before.span().isPresent() && now.span().isPresent()) {
      checkLink(index, before.span().get(), now.span().get());
      return;
    }
    Optional<Instant> earlier = before.frozen();
    Optional<Instant> later = now.frozen();
    if (earlier.isPresent() && later.isPresent() && !later.get().isAfter(earlier.get())) {
      throw notAfter(index, later.get().toString(), earlier.get().toString());
    }
  }

  private void checkLink(int index, DeltaSource.Span before, DeltaSource.Span now)
      throws CommandFailure {
    if (now.from().isSame(before.to())) {
      return;
    }
    if (!now.to().isAfter(before.to())) {
      throw notAfter(index, now.to().toString(), before.to().toString());
    }
    // Since an older checkpoint it covers what the ones before it do, and more.
    boolean covers =
        sources.subList(0, index).stream()
            .flatMap(source -> source.span().stream())
            .anyMatch(span -> now.from().isSame(span.from()) || now.from().isSame(span.to()));
    if (!covers) {
      throw new CommandFailure(
          ExitCode.USAGE,
          deltas.get(index)
              + ": begins at "
              + now.from()
              + ", and "
              + deltas.get(index - 1)
              + " ends at "
              + before.to()
              + ": give the deltas in between too, the oldest first");
    }
  }

  private CommandFailure notAfter(int index, String later, String earlier) {
    return new CommandFailure(
        ExitCode.USAGE,
        deltas.get(index)
            + ": shows "
            + later
            + ", which is not after "
            + deltas.get(index - 1)
            + " ("
            + earlier
            + "): give the oldest first");
  }

  /// The deltas that do not tell from where to where they go.
  List<Path> silent() {
    List<Path> silent = new ArrayList<>();
    for (int i = 0; i < deltas.size(); i++) {
      if (sources.get(i).span().isEmpty()) {
        silent.add(deltas.get(i));
      }
    }
    return silent;
  }

  /// Where the first one begins. Only if none is silent.
  DeltaPoint from() {
    return sources.getFirst().span().orElseThrow().from();
  }

  /// Where each of them leads. Only if none is silent.
  List<DeltaPoint> reached() {
    return sources.stream().map(source -> source.span().orElseThrow().to()).toList();
  }

  /// Fails unless they can be applied to the image. Only if none is silent.
  void checkFits(Path file, ImagePoint image) throws CommandFailure {
    DeltaPoint from = from();
    DeltaPoint to = reached().getLast();
    DeltaPoint latest = image.unfinished().orElse(image.now());
    // Next after what it shows, whatever the clock did meanwhile.
    boolean next = image.unfinished().isEmpty() && from.isSame(image.now());
    // By the clock; if that was set back, what it has shown already may seem later than latest.
    boolean reaches = next || to.isSame(latest) || (to.isAfter(latest) && !image.hasShown(to));
    if (image.hasShown(from) && reaches) {
      return;
    }
    String shows = file + ": shows " + image.now();
    if (image.unfinished().isPresent()) {
      throw misfit(
          file
              + ": deltas up to "
              + latest
              + " were begun and not finished, and these go from "
              + from
              + " to "
              + to
              + ": apply those again that were interrupted");
    }
    if (reaches) {
      boolean earlier = image.points().getFirst().isAfter(from);
      throw misfit(
          shows
              + ", and "
              + deltas.getFirst()
              + " begins at "
              + from
              + (earlier
                  ? ", of which it does not know whether that is the same disk: if it is,"
                      + " all is well"
                  : ": apply the deltas in between first, or name the image that they go with"));
    }
    throw misfit(
        shows
            + " already, and "
            + deltas.getLast()
            + " ends before that, at "
            + to
            + ": apply them to a copy of the full backup");
  }

  private static CommandFailure misfit(String what) {
    return new CommandFailure(
        ExitCode.USAGE, what + "; --force applies them all the same. Nothing was applied");
  }
}
