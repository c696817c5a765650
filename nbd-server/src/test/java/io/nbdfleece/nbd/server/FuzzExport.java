// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executor;

/// What the fuzzed sessions open. Data moves when a request is started, and the completion goes to
/// an executor, so content depends on the order of the requests alone, whenever they complete.
final class FuzzExport implements Export {
  static final int DISK_BYTES = 64 << 10;
  static final String BITMAP = "qemu:dirty-bitmap:b0";

  private static final int EXTENTS_MAX = 64;
  private static final Set<Ability> ALL = EnumSet.complementOf(EnumSet.of(Ability.ROTATIONAL));

  /// What is served.
  enum Kind {
    /// Bytes in an array.
    DISK(DISK_BYTES, 12),
    /// The same, without anything that changes it, and without flush and FUA.
    READ_ONLY(DISK_BYTES, 12),
    /// As large as can be: content is a function of the position, and writes are forgotten.
    HUGE(Long.MAX_VALUE, 34);

    final long sizeBytes;
    final int extentShift;

    Kind(long sizeBytes, int extentShift) {
      this.sizeBytes = sizeBytes;
      this.extentShift = extentShift;
    }

    /// The flags of a context at a position: never a hole that does not read as zeroes.
    int statusFlags(String context, long offsetBytes) {
      long block = offsetBytes >> extentShift;
      int mixed = (int) ((block * 0x9e3779b97f4a7c15L) >>> 62);
      return context.equals(BITMAP) ? mixed & 1 : mixed == 1 ? 0 : mixed;
    }
  }

  final Kind kind;
  final byte[] disk;
  private final FuzzCatalog catalog;
  private final ExportInfo info;
  private final Executor completions;

  /// Tells the catalog of its openings and their ends.
  FuzzExport(Kind kind, Executor completions, FuzzCatalog catalog) {
    this.kind = kind;
    this.completions = completions;
    this.catalog = catalog;
    disk = new byte[kind == Kind.HUGE ? 0 : DISK_BYTES];
    info =
        new ExportInfo(
            kind.sizeBytes,
            "fuzz",
            kind == Kind.READ_ONLY ? EnumSet.of(Ability.MULTI_CONN, Ability.CACHE) : ALL,
            4096,
            List.of(ExportInfo.BASE_ALLOCATION, BITMAP));
  }

  static byte hugeByte(long offsetBytes) {
    return (byte) (offsetBytes ^ offsetBytes >>> 13 ^ offsetBytes >>> 40);
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  @Override
  public void connected() {
    catalog.connected(disk);
  }

  @Override
  public void disconnected() {
    catalog.disconnected();
  }

  private void complete(Completion done) {
    completions.execute(done::succeeded);
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    if (kind == Kind.HUGE) {
      for (long at = offsetBytes; target.hasRemaining(); at++) {
        target.put(hugeByte(at));
      }
    } else {
      target.put(disk, (int) offsetBytes, target.remaining());
    }
    complete(done);
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    if (kind != Kind.HUGE) {
      data.get(disk, (int) offsetBytes, data.remaining());
    }
    complete(done);
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    zero(offsetBytes, lengthBytes);
    complete(done);
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    zero(offsetBytes, lengthBytes);
    complete(done);
  }

  private void zero(long offsetBytes, long lengthBytes) {
    if (kind != Kind.HUGE) {
      Arrays.fill(disk, (int) offsetBytes, (int) (offsetBytes + lengthBytes), (byte) 0);
    }
  }

  @Override
  public void flush(Completion done) {
    complete(done);
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    complete(done);
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    List<ContextExtents> answer = new ArrayList<>();
    for (String context : contexts) {
      List<Extent> extents = new ArrayList<>();
      long at = offsetBytes;
      long left = lengthBytes;
      while (left > 0 && extents.size() < Math.min(extentsMax, EXTENTS_MAX)) {
        long blockBytes = 1L << kind.extentShift;
        long length = Math.min(left, blockBytes - (at & blockBytes - 1));
        extents.add(new Extent(length, kind.statusFlags(context, at)));
        at += length;
        left -= length;
      }
      answer.add(new ContextExtents(context, extents));
    }
    completions.execute(() -> done.succeeded(answer));
  }
}
