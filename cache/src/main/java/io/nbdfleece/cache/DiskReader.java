// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/// Reads entries from the disk tier and checks them. A checksum covers a whole cluster, so a part
/// is read through a buffer that holds all of it.
final class DiskReader {
  private static final int SPARE_BUFFERS_MAX = 16;

  private final SlotFile file;
  private final int clusterBytes;
  private final BlockingQueue<ByteBuffer> spare = new ArrayBlockingQueue<>(SPARE_BUFFERS_MAX);

  DiskReader(SlotFile file, int clusterBytes) {
    this.file = file;
    this.clusterBytes = clusterBytes;
  }

  /// @param checksum what the entry's bytes must have
  void read(int entry, int checksum, int offsetBytes, ByteBuffer target, Completion done) {
    long position = (long) entry * clusterBytes;
    if (target.remaining() == clusterBytes && target.isDirect()) {
      ByteBuffer bytes = target.duplicate();
      file.read(
          position,
          target,
          new Checked(done) {
            @Override
            public void succeeded() {
              complete(entry, checksum, bytes, done);
            }
          });
      return;
    }
    ByteBuffer pooled = spare.poll();
    ByteBuffer whole = pooled == null ? ByteBuffer.allocateDirect(clusterBytes) : pooled;
    file.read(
        position,
        whole.clear(),
        new Checked(done) {
          @Override
          public void succeeded() {
            boolean intact = Checksums.of(whole.clear()) == checksum;
            if (intact) {
              int length = target.remaining();
              target.put(target.position(), whole, offsetBytes, length);
              target.position(target.position() + length);
            }
            recycle(whole);
            if (intact) {
              done.succeeded();
            } else {
              done.failed(damaged(entry));
            }
          }

          @Override
          public void failed(IOException error) {
            recycle(whole);
            done.failed(error);
          }
        });
  }

  private void complete(int entry, int checksum, ByteBuffer bytes, Completion done) {
    if (Checksums.of(bytes) == checksum) {
      done.succeeded();
    } else {
      done.failed(damaged(entry));
    }
  }

  private void recycle(ByteBuffer buffer) {
    // When there are spares enough the collector takes it.
    boolean kept = spare.offer(buffer);
    assert kept || spare.size() > 0;
  }

  private IOException damaged(int entry) {
    return new IOException(
        "preserved cluster is damaged in the scratch file (checksum differs, entry="
            + entry
            + ", offset="
            + (long) entry * clusterBytes
            + ")");
  }

  /// Passes a failure on.
  private abstract static class Checked implements Completion {
    private final Completion done;

    Checked(Completion done) {
      this.done = done;
    }

    @Override
    public void failed(IOException error) {
      done.failed(error);
    }
  }
}
