// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import io.netty.buffer.ByteBuf;

/// One direction of a connection: what one end has put into its socket and the other has not taken.
final class BytePipe {
  private final int capacityBytes;
  private byte[] bytes = new byte[256];
  private int start;
  private int count;
  private boolean finished;
  private boolean reset;
  private boolean abandoned;

  BytePipe(int capacityBytes) {
    this.capacityBytes = capacityBytes;
  }

  int available() {
    return count;
  }

  /// How much more it takes.
  int room() {
    return abandoned ? Integer.MAX_VALUE : capacityBytes - count;
  }

  /// Nothing comes behind what is there.
  boolean isFinished() {
    return finished;
  }

  /// The writer has broken off, and what was there is gone.
  boolean isReset() {
    return reset;
  }

  /// Nobody reads any more.
  boolean isAbandoned() {
    return abandoned;
  }

  void put(byte[] from, int offset, int putBytes) {
    if (abandoned || reset) {
      return;
    }
    reserve(putBytes);
    System.arraycopy(from, offset, bytes, start + count, putBytes);
    count += putBytes;
  }

  /// Leaves the indices of `from` alone.
  void put(ByteBuf from, int putBytes) {
    if (abandoned || reset) {
      return;
    }
    reserve(putBytes);
    from.getBytes(from.readerIndex(), bytes, start + count, putBytes);
    count += putBytes;
  }

  private void reserve(int putBytes) {
    if (start + count + putBytes > bytes.length) {
      byte[] larger = new byte[Math.max(bytes.length, 2 * (count + putBytes))];
      System.arraycopy(bytes, start, larger, 0, count);
      bytes = larger;
      start = 0;
    }
  }

  /// Returns how many.
  int take(ByteBuf into, int takenBytesMax) {
    int taken = Math.min(count, takenBytesMax);
    into.writeBytes(bytes, start, taken);
    drop(taken);
    return taken;
  }

  byte[] take(int takenBytes) {
    byte[] taken = new byte[takenBytes];
    System.arraycopy(bytes, start, taken, 0, takenBytes);
    drop(takenBytes);
    return taken;
  }

  private void drop(int droppedBytes) {
    start += droppedBytes;
    count -= droppedBytes;
    if (count == 0) {
      start = 0;
    }
  }

  void finish() {
    finished = true;
  }

  void reset() {
    reset = true;
    count = 0;
    start = 0;
  }

  void abandon() {
    abandoned = true;
    count = 0;
    start = 0;
  }
}
