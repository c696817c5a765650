// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

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
  private final List<DeltaExtent> extents = new ArrayList<>();

  private DeltaTarget(Path file, SparseFileTarget part, PullSource source, DirtyRanges dirty) {
    this.file = file;
    this.part = part;
    this.source = source;
    this.dirty = dirty;
  }

  /// Creates `FILE.part`.
  static DeltaTarget create(Path file, PullSource source, DirtyRanges dirty) throws IOException {
    return new DeltaTarget(file, SparseFileTarget.create(file, source.sizeBytes()), source, dirty);
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
    CRC32C crc = new CRC32C();
    crc.update(data.duplicate());
    part.data(offsetBytes, data);
    extents.add(new DeltaExtent(offsetBytes, lengthBytes, OptionalInt.of((int) crc.getValue())));
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) {
    extents.add(new DeltaExtent(offsetBytes, lengthBytes, OptionalInt.empty()));
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
    new DeltaMap(from, extents).write(freshMap());
    boolean _ = Files.deleteIfExists(file);
    Files.move(
        freshMap(),
        DeltaMap.pathOf(file),
        StandardCopyOption.ATOMIC_MOVE,
        StandardCopyOption.REPLACE_EXISTING);
    part.finish(sync);
  }

  // Not FILE.part.map, which is the journal of a pull with --resume.
  private Path freshMap() {
    return file.resolveSibling(file.getFileName() + ".map.part");
  }

  @Override
  public void discard() {
    try {
      boolean _ = Files.deleteIfExists(freshMap());
    } catch (IOException e) {
      System.getLogger("nbdfleece.pull")
          .log(Level.WARNING, "cannot remove {0}: {1}", freshMap(), Messages.of(e));
    }
    part.discard();
  }

  @Override
  public String name() {
    return file.toString();
  }
}
