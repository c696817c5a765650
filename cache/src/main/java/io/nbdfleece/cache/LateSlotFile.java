// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/// The file of a disk tier that may come later: a store in RAM alone has none, and touches no
/// directory, until it is given a disk tier.
final class LateSlotFile implements SlotFile {
  private final Opening opening;
  private volatile @Nullable SlotFile opened;

  LateSlotFile(Opening opening) {
    this.opening = opening;
  }

  /// A scratch file, made at once if there is a disk tier.
  static LateSlotFile of(StoreConfig config, Executor workers) throws IOException {
    LateSlotFile file =
        new LateSlotFile(() -> ScratchFile.create(config.scratchDirectory(), workers));
    if (config.scratchSlotCount() > 0) {
      file.prepare();
    }
    return file;
  }

  /// Opens the file, once.
  @Override
  public void prepare() throws IOException {
    if (opened == null) {
      opened = opening.open();
    }
  }

  @Override
  public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
    SlotFile file = opened;
    if (file == null) {
      done.failed(none());
    } else {
      file.write(offsetBytes, data, done);
    }
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    SlotFile file = opened;
    if (file == null) {
      done.failed(none());
    } else {
      file.read(offsetBytes, target, done);
    }
  }

  @Override
  public void punch(long offsetBytes, long lengthBytes, Completion done) {
    SlotFile file = opened;
    if (file == null) {
      done.failed(none());
    } else {
      file.punch(offsetBytes, lengthBytes, done);
    }
  }

  @Override
  public void close() throws IOException {
    SlotFile file = opened;
    if (file != null) {
      file.close();
    }
  }

  private static IOException none() {
    return new IOException("the store has no disk tier");
  }

  /// Makes the file.
  interface Opening {
    SlotFile open() throws IOException;
  }
}
