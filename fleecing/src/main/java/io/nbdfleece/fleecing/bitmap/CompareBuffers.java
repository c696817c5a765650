// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicLong;

/// Direct buffers for what a disk holds before a write, in powers of two of bytes. Any thread;
/// takes no lock. When too many are in use there is none.
final class CompareBuffers {
  /// No write longer than this is compared.
  static final int LENGTH_BYTES_MAX = 1 << 20;

  private static final int SMALLEST_SHIFT = 12;
  private static final long USED_BYTES_MAX = 32L << 20;
  private static final long IDLE_BYTES_MAX = 4L << 20;

  private final List<ConcurrentLinkedDeque<ByteBuffer>> idle = new ArrayList<>();
  private final AtomicLong usedBytes = new AtomicLong();
  private final AtomicLong idleBytes = new AtomicLong();

  CompareBuffers() {
    for (int bytes = 1 << SMALLEST_SHIFT; bytes <= LENGTH_BYTES_MAX; bytes *= 2) {
      idle.add(new ConcurrentLinkedDeque<>());
    }
  }

  /// A buffer with that many bytes from position 0 to its limit, of any content.
  Optional<ByteBuffer> take(int lengthBytes) {
    int number = number(lengthBytes);
    int capacityBytes = 1 << (SMALLEST_SHIFT + number);
    if (usedBytes.addAndGet(capacityBytes) > USED_BYTES_MAX) {
      usedBytes.addAndGet(-capacityBytes);
      return Optional.empty();
    }
    ByteBuffer pooled = idle.get(number).pollFirst();
    if (pooled == null) {
      try {
        pooled = ByteBuffer.allocateDirect(capacityBytes);
      } catch (OutOfMemoryError noBuffer) {
        usedBytes.addAndGet(-capacityBytes);
        return Optional.empty();
      }
    } else {
      idleBytes.addAndGet(-capacityBytes);
    }
    return Optional.of(pooled.clear().limit(lengthBytes));
  }

  private static int number(int lengthBytes) {
    int shift = Integer.SIZE - Integer.numberOfLeadingZeros(lengthBytes - 1);
    return Math.max(0, shift - SMALLEST_SHIFT);
  }

  /// Nobody uses the buffer any more.
  void give(ByteBuffer buffer) {
    int capacityBytes = buffer.capacity();
    usedBytes.addAndGet(-capacityBytes);
    if (idleBytes.addAndGet(capacityBytes) > IDLE_BYTES_MAX) {
      idleBytes.addAndGet(-capacityBytes);
    } else {
      idle.get(number(capacityBytes)).addFirst(buffer);
    }
  }

  /// Gives idle buffers up.
  void drop() {
    for (ConcurrentLinkedDeque<ByteBuffer> some : idle) {
      for (ByteBuffer one = some.pollFirst(); one != null; one = some.pollFirst()) {
        idleBytes.addAndGet(-one.capacity());
      }
    }
  }

  long usedBytes() {
    return usedBytes.get();
  }

  long idleBytes() {
    return idleBytes.get();
  }
}
