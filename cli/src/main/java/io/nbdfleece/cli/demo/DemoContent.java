// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// What stands in each 4 KiB block of the demo's disk: a function of seed, block and write number,
/// so that the proof can say what any block must hold without having stored it.
///
/// @param seed of all content
/// @param blockCount size of the disk in blocks
record DemoContent(long seed, int blockCount) {
  static final int BLOCK_BYTES = 4096;

  /// The write number of what stands there before the guest starts.
  static final int BASE = 0;

  // Of each 64 MiB the first 8 MiB hold content, and the guest writes to the first 12 MiB: most of
  // the disk stays a hole, and some holes are written to.
  private static final int STRIPE_BLOCKS = 64 << 20 >> 12;
  private static final int CONTENT_BLOCKS = 8 << 20 >> 12;
  private static final int GUEST_BLOCKS = 12 << 20 >> 12;
  private static final long GOLDEN = 0x9e3779b97f4a7c15L;

  /// Whether the block holds something before the guest starts.
  boolean hasBase(int block) {
    return block % STRIPE_BLOCKS < CONTENT_BLOCKS;
  }

  /// Blocks the guest writes to.
  int guestBlockCount() {
    return blockCount / STRIPE_BLOCKS * GUEST_BLOCKS;
  }

  /// The block of that number among those the guest writes to.
  int guestBlock(int number) {
    return number / GUEST_BLOCKS * STRIPE_BLOCKS + number % GUEST_BLOCKS;
  }

  /// Bytes that hold something before the guest starts.
  long baseBytes() {
    return (long) blockCount / STRIPE_BLOCKS * CONTENT_BLOCKS * BLOCK_BYTES;
  }

  /// Fills `target` (one block from its position; the position stays) with the content of that
  /// write to that block.
  void fill(int block, int write, ByteBuffer target) {
    ByteBuffer bytes = target.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    if (write == BASE && !hasBase(block)) {
      for (int i = 0; i < BLOCK_BYTES / Long.BYTES; i++) {
        bytes.putLong(0);
      }
      return;
    }
    // SplitMix64, started from all three: no two writes share a block's content.
    long state = mixed(seed * GOLDEN + mixed(((long) write << 32 | block) + 1));
    for (int i = 0; i < BLOCK_BYTES / Long.BYTES; i++) {
      state += GOLDEN;
      bytes.putLong(mixed(state));
    }
  }

  private static long mixed(long value) {
    long z = (value ^ value >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }
}
