// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/// Damages a session made of pieces, one way at a time.
public final class FuzzMutation {
  /// Where arithmetic goes wrong.
  private static final long[] EDGES = {
    0,
    1,
    FuzzExport.DISK_BYTES - 1,
    FuzzExport.DISK_BYTES,
    FuzzExport.DISK_BYTES + 1,
    4096,
    4097,
    (64 << 10) + 1,
    (1 << 20) + 1,
    (32 << 20) - 1,
    32 << 20,
    (32 << 20) + 1,
    64 << 20,
    (64 << 20) + 1,
    (1L << 31) - 1,
    1L << 31,
    (1L << 32) - 512,
    (1L << 32) - 1,
    1L << 32,
    (1L << 32) + 1,
    Long.MAX_VALUE - 1,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    Long.MIN_VALUE + 1,
    -512,
    -1
  };

  private static final int PIECES_MAX = 400;
  private static final int FLOOD_PIECE_BYTES_MAX = 64;

  private final SplittableRandom random;

  public FuzzMutation(SplittableRandom random) {
    this.random = random;
  }

  static long edge(SplittableRandom random) {
    return EDGES[random.nextInt(EDGES.length)];
  }

  /// Changes the list and never the arrays in it.
  public void damage(List<byte[]> pieces) {
    if (pieces.isEmpty()) {
      pieces.add(randomBytes(64));
      return;
    }
    int at = random.nextInt(pieces.size());
    byte[] piece = pieces.get(at);
    switch (random.nextInt(10)) {
      case 0 -> pieces.set(at, bitsFlipped(piece));
      case 1 -> pieces.set(at, Arrays.copyOf(piece, random.nextInt(piece.length + 1)));
      case 2 -> pieces.add(random.nextInt(pieces.size() + 1), piece);
      case 3 -> pieces.set(at, pieces.set(random.nextInt(pieces.size()), piece));
      case 4, 5 -> pieces.set(at, edgeWritten(piece));
      case 6 -> pieces.add(at, randomBytes(random.nextInt(10) == 0 ? 5000 : 40));
      case 7 -> pieces.remove(at);
      case 8 -> flood(pieces, at, piece);
      default -> {
        pieces.subList(at, pieces.size()).clear();
        pieces.add(randomBytes(300));
      }
    }
  }

  private byte[] bitsFlipped(byte[] piece) {
    byte[] copy = piece.clone();
    for (int count = random.nextInt(1, 5); count > 0 && copy.length > 0; count--) {
      // The front is where the fields are.
      int range = random.nextInt(4) == 0 ? copy.length : Math.min(copy.length, 32);
      copy[random.nextInt(range)] ^= (byte) (1 << random.nextInt(8));
    }
    return copy;
  }

  private byte[] edgeWritten(byte[] piece) {
    byte[] copy = piece.clone();
    int width = 1 << random.nextInt(1, 4);
    if (copy.length >= width) {
      int range = Math.min(copy.length, 48) / 2 - width / 2;
      int at = 2 * random.nextInt(range + 1);
      ByteBuffer target = ByteBuffer.wrap(copy, at, width);
      long value = edge(random);
      switch (width) {
        case 2 -> target.putShort((short) value);
        case 4 -> target.putInt((int) value);
        default -> target.putLong(value);
      }
    }
    return copy;
  }

  private byte[] randomBytes(int byteCountMax) {
    byte[] bytes = new byte[random.nextInt(1, byteCountMax + 1)];
    random.nextBytes(bytes);
    return bytes;
  }

  private void flood(List<byte[]> pieces, int at, byte[] piece) {
    boolean small = piece.length <= FLOOD_PIECE_BYTES_MAX;
    int count = Math.min(small ? random.nextInt(1, 200) : 3, PIECES_MAX - pieces.size());
    for (; count > 0; count--) {
      pieces.add(at, piece);
    }
  }
}
