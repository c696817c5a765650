// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/// The content of one block that says who wrote it.
///
/// ```
///    0        8        16       24       32                        4092   4096
///   +--------+--------+--------+--------+--- . . . ---------------+------+
///   | magic  | write  | disk   | block  | filler, of write & block| CRC  |
///   +--------+--------+--------+--------+--- . . . ---------------+------+
/// ```
///
/// Little-endian. `write` is the number of the write operation, unique over all writers, at least
/// 1. A block mixed from two writes has a wrong CRC.
final class Stamp {
  /// The unit of writing and checking.
  static final int BLOCK_BYTES = 4096;

  /// [#read] of a block full of zeroes.
  static final long ZEROES = 0;

  /// [#read] of a block that is neither a stamp nor zeroes.
  static final long TORN = -1;

  /// [#read] of a good stamp that belongs elsewhere.
  static final long FOREIGN = -2;

  private static final long MAGIC = 0x6e6264666c656563L;
  private static final int CRC_OFFSET = BLOCK_BYTES - Integer.BYTES;

  private Stamp() {}

  /// Fills the block that begins at `offset` of `buffer`.
  static void write(ByteBuffer buffer, int offset, long write, int disk, long block) {
    ByteBuffer bytes = buffer.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(offset, MAGIC);
    bytes.putLong(offset + 8, write);
    bytes.putLong(offset + 16, disk);
    bytes.putLong(offset + 24, block);
    long filler = (write * 0x9e3779b97f4a7c15L) ^ (block * 0xc2b2ae3d27d4eb4fL);
    for (int i = 32; i + Long.BYTES <= CRC_OFFSET; i += Long.BYTES) {
      filler = Long.rotateLeft(filler, 7) + 0x165667b19e3779f9L;
      bytes.putLong(offset + i, filler);
    }
    bytes.putInt(offset + CRC_OFFSET, crc(bytes, offset));
  }

  /// The number of the write that the block at `offset` holds, or [#ZEROES], [#TORN], [#FOREIGN].
  static long read(ByteBuffer buffer, int offset, int disk, long block) {
    ByteBuffer bytes = buffer.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.getLong(offset) != MAGIC) {
      return isZero(bytes, offset) ? ZEROES : TORN;
    }
    if (bytes.getInt(offset + CRC_OFFSET) != crc(bytes, offset)) {
      return TORN;
    }
    long write = bytes.getLong(offset + 8);
    boolean here = bytes.getLong(offset + 16) == disk && bytes.getLong(offset + 24) == block;
    return here && write > 0 ? write : FOREIGN;
  }

  private static boolean isZero(ByteBuffer bytes, int offset) {
    for (int i = 0; i < BLOCK_BYTES; i += Long.BYTES) {
      if (bytes.getLong(offset + i) != 0) {
        return false;
      }
    }
    return true;
  }

  private static int crc(ByteBuffer bytes, int offset) {
    CRC32C crc = new CRC32C();
    crc.update(bytes.duplicate().limit(offset + CRC_OFFSET).position(offset));
    return (int) crc.getValue();
  }
}
