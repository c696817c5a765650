// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.delta.DeltaExtent;
import io.nbdfleece.cli.delta.DeltaMap;
import io.nbdfleece.cli.delta.DeltaSource;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.zip.CRC32C;

/// What has changed of an export: a sparse file of its size and a map. The map stands under its
/// name before the file does, and never beside an older file.
final class DeltaTarget implements PullTarget {
  private final Path file;
  private final SparseFileTarget part;
  private final PullSource source;
  private final DirtyRanges dirty;
  private final int extentsMax;
  // In the order in which they came.
  private final List<DeltaExtent> extents = new ArrayList<>();
  private final CRC32C crcOfLast = new CRC32C();

  private DeltaTarget(
      Path file, SparseFileTarget part, PullSource source, DirtyRanges dirty, int extentsMax) {
    this.file = file;
    this.part = part;
    this.source = source;
    this.dirty = dirty;
    this.extentsMax = extentsMax;
  }

  /// Creates `FILE.part`.
  static DeltaTarget create(Path file, PullSource source, DirtyRanges dirty) throws IOException {
    return create(file, source, dirty, DeltaMap.EXTENTS_MAX);
  }

  /// @param extentsMax how many a map may have
  static DeltaTarget create(Path file, PullSource source, DirtyRanges dirty, int extentsMax)
      throws IOException {
    SparseFileTarget part = SparseFileTarget.create(file, source.sizeBytes());
    return new DeltaTarget(file, part, source, dirty, extentsMax);
  }

  @Override
  public boolean isSequential() {
    return false;
  }

  @Override
  public DoneRanges done() {
    return dirty.clean();
  }

  @Override
  public boolean isDelta() {
    return true;
  }

  @Override
  public void data(long offsetBytes, ByteBuffer data) throws IOException {
    int lengthBytes = data.remaining();
    if (ZeroBlocks.runEnd(data, data.position(), true) == data.limit()) {
      // Not every server knows what is zero in it: the image is to get its hole all the same.
      zeroes(offsetBytes, lengthBytes);
      data.position(data.limit());
      return;
    }
    ByteBuffer content = data.duplicate();
    part.data(offsetBytes, data);
    boolean onward = isAdjacent(offsetBytes) && !extents.getLast().isZero();
    if (!onward) {
      crcOfLast.reset();
    }
    crcOfLast.update(content);
    OptionalInt crc = OptionalInt.of((int) crcOfLast.getValue());
    add(onward, offsetBytes, lengthBytes, crc);
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) throws IOException {
    boolean onward = isAdjacent(offsetBytes) && extents.getLast().isZero();
    add(onward, offsetBytes, lengthBytes, OptionalInt.empty());
  }

  private boolean isAdjacent(long offsetBytes) {
    return !extents.isEmpty() && extents.getLast().endBytes() == offsetBytes;
  }

  /// @param onward whether it makes the last extent longer
  /// @param crc32c of all that the extent is then
  private void add(boolean onward, long offsetBytes, long lengthBytes, OptionalInt crc32c)
      throws CommandFailure {
    if (onward) {
      DeltaExtent last = extents.removeLast();
      extents.add(new DeltaExtent(last.offsetBytes(), last.lengthBytes() + lengthBytes, crc32c));
      return;
    }
    if (extents.size() == extentsMax) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "the changes are in more than "
              + extentsMax
              + " pieces: pull all of it, without --since");
    }
    extents.add(new DeltaExtent(offsetBytes, lengthBytes, crc32c));
  }

  @Override
  public void finish(Sync sync) throws IOException {
    extents.sort(Comparator.comparingLong(DeltaExtent::offsetBytes));
    DeltaSource from =
        new DeltaSource(
            source.sizeBytes(),
            dirty.bitmap(),
            source.server(),
            source.exportName(),
            source.description(),
            Instant.now());
    if (sync == Sync.FSYNC) {
      part.sync();
    }
    // Once the old file is gone it is too late to give up.
    synchronized (part) {
      if (part.isSettled()) {
        throw new IOException("interrupted");
      }
      new DeltaMap(from, extents).write(freshMap());
      boolean _ = Files.deleteIfExists(file);
      Files.move(
          freshMap(),
          DeltaMap.pathOf(file),
          StandardCopyOption.ATOMIC_MOVE,
          StandardCopyOption.REPLACE_EXISTING);
      part.finish(sync);
    }
  }

  // Not FILE.part.map, which is the journal of a pull with --resume.
  private Path freshMap() {
    return file.resolveSibling(file.getFileName() + ".map.part");
  }

  @Override
  public void discard() {
    synchronized (part) {
      if (part.isSettled()) {
        return;
      }
      try {
        boolean _ = Files.deleteIfExists(freshMap());
      } catch (IOException e) {
        System.getLogger("nbdfleece.pull")
            .log(Level.WARNING, "cannot remove {0}: {1}", freshMap(), Messages.of(e));
      }
      part.discard();
    }
  }

  @Override
  public Left keep() {
    discard();
    return part.isFinished() ? Left.ALL : Left.NOTHING;
  }

  @Override
  public String name() {
    return file.toString();
  }
}
