// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.DiskConfig.Access;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NodeAbility;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportClient;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/// A disk as its guest sees it.
final class DiskExport implements Export {
  private static final List<String> BASE_ONLY = List.of(ExportInfo.BASE_ALLOCATION);

  private final ServedDisk disk;
  private final ShownContexts shown;
  private final ExportInfo info;

  /// As guests find it under its own name.
  static DiskExport of(ServedDisk disk, int preferredBlockBytes) {
    boolean readOnly = disk.config().access() == Access.READ_ONLY;
    return new DiskExport(
        disk,
        preferredBlockBytes,
        readOnly ? "disk, read-only" : "disk",
        readOnly,
        ShownContexts.NONE);
  }

  DiskExport(
      ServedDisk disk,
      int preferredBlockBytes,
      String description,
      boolean readOnly,
      ShownContexts shown) {
    this.disk = disk;
    this.shown = shown;
    Set<String> contexts = new LinkedHashSet<>(BASE_ONLY);
    contexts.addAll(disk.hook().contexts());
    contexts.addAll(shown.names());
    this.info =
        new ExportInfo(
            disk.sizeBytes(),
            description,
            abilities(readOnly),
            disk.hook().blockBytes(),
            preferredBlockBytes,
            List.copyOf(contexts));
  }

  /// What guests meet first may be replaced while they are connected.
  private BlockNode node() {
    return disk.top();
  }

  private Set<Ability> abilities(boolean readOnly) {
    Set<NodeAbility> below = disk.hook().abilities();
    Set<Ability> abilities = EnumSet.of(Ability.MULTI_CONN, Ability.CACHE);
    if (below.contains(NodeAbility.FLUSH)) {
      abilities.add(Ability.FLUSH);
    }
    if (!readOnly) {
      abilities.addAll(EnumSet.of(Ability.WRITE, Ability.TRIM, Ability.WRITE_ZEROES));
      if (below.contains(NodeAbility.DURABLE_WRITE)) {
        abilities.add(Ability.FUA);
      }
      if (below.contains(NodeAbility.FAST_ZERO)) {
        abilities.add(Ability.FAST_ZERO);
      }
    }
    return abilities;
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  /// Whoever found the disk just before it was taken away is sent away before its first request.
  @Override
  public void connected(ExportClient client) {
    if (!disk.users().entered()) {
      client.disconnect();
    }
  }

  @Override
  public void disconnected() {
    disk.users().left();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    node().read(offsetBytes, target, BlockCompletions.to(done));
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    node().apply(new Mutation.Write(offsetBytes, data, of(durability)), BlockCompletions.to(done));
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    node()
        .apply(
            new Mutation.Discard(offsetBytes, lengthBytes, of(durability)),
            BlockCompletions.to(done));
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    Mutation.Provisioning provisioning =
        zeroing.mustStayProvisioned()
            ? Mutation.Provisioning.KEEP
            : Mutation.Provisioning.MAY_PUNCH;
    node()
        .apply(
            new Mutation.Zero(
                offsetBytes,
                lengthBytes,
                provisioning,
                zeroing.mustBeFast() ? Mutation.Speed.FAST_ONLY : Mutation.Speed.ANY,
                of(durability)),
            BlockCompletions.to(done));
  }

  @Override
  public void flush(Completion done) {
    node().flush(BlockCompletions.to(done));
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    node().cache(offsetBytes, lengthBytes, BlockCompletions.to(done));
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    if (contexts.equals(BASE_ONLY)) {
      node().status(offsetBytes, lengthBytes, extentsMax, BlockCompletions.to(contexts, done));
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
    BlockNode node = node();
    if (answers.wants(ShownContexts.ALLOCATION_DEPTH)
        && !node.contexts().contains(ShownContexts.ALLOCATION_DEPTH)) {
      answers.put(ShownContexts.ALLOCATION_DEPTH, List.of(new Extent(lengthBytes, 1)));
    }
    List<String> below = answers.missing();
    if (below.isEmpty()) {
      answers.succeeded(List.of());
    } else if (below.equals(BASE_ONLY)) {
      node.status(offsetBytes, lengthBytes, extentsMax, BlockCompletions.to(below, answers));
    } else {
      node.contextStatus(
          offsetBytes, lengthBytes, below, extentsMax, BlockCompletions.contexts(answers));
    }
  }

  private static Mutation.Durability of(Durability durability) {
    return switch (durability) {
      case CACHED -> Mutation.Durability.CACHED;
      case DURABLE -> Mutation.Durability.DURABLE;
    };
  }
}
