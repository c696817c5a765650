// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;

/// Finds the long runs of zeroes in what has been read, so that they need not travel. One object
/// per connection, filled again for each read; event loop only.
///
/// Looks at blocks of 4 KiB of the export. Data is told by the first 8 bytes of a block, which
/// costs a load per page; only a block that begins with zeroes is compared whole, by vector
/// instructions. Nothing is allocated.
final class ZeroRuns {
  /// Zeroes are worth a chunk of their own from here on: two more headers are nothing to a client
  /// against 32 KiB less to send and to receive, and a read up to this length stays one chunk.
  static final int RUN_BYTES_MIN = 32 << 10;

  /// Holes in one reply; what comes behind the last one goes as data.
  static final int RUNS_MAX = 16;

  private static final int BLOCK_BYTES = 4 << 10;
  private static final ByteBuffer ZEROES =
      ByteBuffer.allocateDirect(BLOCK_BYTES).asReadOnlyBuffer();

  private final int[] starts = new int[RUNS_MAX];
  private final int[] ends = new int[RUNS_MAX];
  private int count;

  /// Looks for runs in the `lengthBytes` bytes of `buffer` from `startIndex`, which are those of
  /// the export at `offsetBytes`. Places are relative to `startIndex` afterwards. A run that is the
  /// whole is found at any length, one among data from [#RUN_BYTES_MIN].
  void find(ByteBuf buffer, int startIndex, int lengthBytes, long offsetBytes) {
    count = 0;
    int position = 0;
    int runStart = 0;
    int end = Math.min(lengthBytes, BLOCK_BYTES - (int) (offsetBytes & (BLOCK_BYTES - 1)));
    while (position < lengthBytes && count < RUNS_MAX) {
      if (!isZero(buffer, startIndex + position, end - position)) {
        if (position - runStart >= RUN_BYTES_MIN) {
          add(runStart, position);
        }
        runStart = end;
      }
      position = end;
      end = Math.min(lengthBytes, end + BLOCK_BYTES);
    }
    if (count < RUNS_MAX && (runStart == 0 || lengthBytes - runStart >= RUN_BYTES_MIN)) {
      add(runStart, lengthBytes);
    }
  }

  private void add(int start, int end) {
    starts[count] = start;
    ends[count] = end;
    count++;
  }

  private static boolean isZero(ByteBuf buffer, int index, int lengthBytes) {
    if (lengthBytes >= 8 ? buffer.getLong(index) != 0 : buffer.getByte(index) != 0) {
      return false;
    }
    ByteBuffer block = buffer.internalNioBuffer(index, lengthBytes);
    int difference = block.mismatch(ZEROES);
    // Behind a short block the zeroes go on: that difference is its end.
    return difference < 0 || difference == lengthBytes;
  }

  int count() {
    return count;
  }

  int start(int index) {
    return starts[index];
  }

  int end(int index) {
    return ends[index];
  }
}
