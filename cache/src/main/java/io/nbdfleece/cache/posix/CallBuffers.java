// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.List;

/// The buffers of a system call: what of them it may use, and how far it came.
final class CallBuffers {

  private CallBuffers() {}

  /// What remains of a buffer.
  static MemorySegment segmentOf(ByteBuffer buffer) {
    requireDirect(buffer);
    return MemorySegment.ofBuffer(buffer);
  }

  /// How many of these, from the first on, one call can take.
  static int partsOf(List<ByteBuffer> buffers) {
    int count = Math.min(buffers.size(), LinuxCalls.VECTOR_PARTS_MAX);
    for (int i = 0; i < count; i++) {
      requireDirect(buffers.get(i));
    }
    return count;
  }

  private static void requireDirect(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      throw new IllegalArgumentException("buffer: on the heap (expected: direct)");
    }
  }

  /// The call has done `count` bytes.
  static int advance(ByteBuffer buffer, long count) {
    buffer.position(buffer.position() + (int) count);
    return (int) count;
  }

  /// The call has done `count` bytes, one buffer after the other.
  static int advance(List<ByteBuffer> buffers, long count) {
    long left = count;
    for (int i = 0; left > 0; i++) {
      ByteBuffer buffer = buffers.get(i);
      left -= advance(buffer, Math.min(left, buffer.remaining()));
    }
    return (int) count;
  }
}
