// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.DiskConfig.Access;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// A disk as its guest sees it.
final class DiskExport implements Export {
  private final ServedDisk disk;
  private final BlockNode node;
  private final ExportInfo info;

  DiskExport(ServedDisk disk, int preferredBlockBytes) {
    this.disk = disk;
    this.node = disk.hook();
    Set<Ability> abilities =
        switch (disk.config().access()) {
          case READ_WRITE ->
              EnumSet.of(
                  Ability.WRITE,
                  Ability.FLUSH,
                  Ability.FUA,
                  Ability.TRIM,
                  Ability.WRITE_ZEROES,
                  Ability.MULTI_CONN);
          case READ_ONLY -> EnumSet.of(Ability.FLUSH, Ability.MULTI_CONN);
        };
    this.info =
        new ExportInfo(
            disk.sizeBytes(),
            disk.config().access() == Access.READ_ONLY ? "disk, read-only" : "disk",
            abilities,
            preferredBlockBytes,
            List.of(ExportInfo.BASE_ALLOCATION));
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  @Override
  public void connected() {
    disk.clients().incrementAndGet();
  }

  @Override
  public void disconnected() {
    disk.clients().decrementAndGet();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    node.read(offsetBytes, target, BlockCompletions.to(done));
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    node.apply(new Mutation.Write(offsetBytes, data, of(durability)), BlockCompletions.to(done));
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    node.apply(
        new Mutation.Discard(offsetBytes, lengthBytes, of(durability)), BlockCompletions.to(done));
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    Mutation.Provisioning provisioning =
        zeroing.mustStayProvisioned()
            ? Mutation.Provisioning.KEEP
            : Mutation.Provisioning.MAY_PUNCH;
    node.apply(
        new Mutation.Zero(offsetBytes, lengthBytes, provisioning, of(durability)),
        BlockCompletions.to(done));
  }

  @Override
  public void flush(Completion done) {
    node.flush(BlockCompletions.to(done));
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    done.succeeded(); // not advertised; a hint that changes nothing
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    node.status(offsetBytes, lengthBytes, extentsMax, BlockCompletions.to(contexts, done));
  }

  private static Mutation.Durability of(Durability durability) {
    return switch (durability) {
      case CACHED -> Mutation.Durability.CACHED;
      case DURABLE -> Mutation.Durability.DURABLE;
    };
  }
}
