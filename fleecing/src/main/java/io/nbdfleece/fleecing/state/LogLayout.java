// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.BitSet;
import java.util.OptionalLong;

/// Where things are in the file of an activity log. A sector is written at once by every disk, so
/// each stands for itself.
///
/// ```
///   0     header: magic 8, nonce 8, size of the disk 8, region size 8, CRC32C 4
///   512   heartbeat: ns since 1970 8, CRC32C 4;
///         time of the disk's last change: ns since 1970 8, CRC32C 4, or nothing that has this sum
///   4096  sectors of 512: CRC32C 4, number 4, nonce 8, one bit for each of 3968 regions
/// ```
///
/// All numbers are little-endian. In a log that was given up the magic is another one, and the rest
/// has no meaning.
///
/// @param nonce of this log, so that sectors of another one are not taken for its own
record LogLayout(long nonce, long sizeBytes) {
  static final int HEARTBEAT_OFFSET = 512;
  private static final int TIME_BYTES = 12;

  private static final long MAGIC = 0x3156_5443_4146_424EL; // NBFACTV1
  private static final long MAGIC_GIVEN_UP = 0x3156_5045_5641_474EL; // NGAVEPV1
  private static final ValueLayout.OfLong LITTLE_ENDIAN_LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int SECTOR_BYTES = 512;
  private static final int SECTORS_OFFSET = 4096;
  private static final int SECTOR_HEAD_BYTES = 16;
  private static final int SECTOR_REGIONS = (SECTOR_BYTES - SECTOR_HEAD_BYTES) * 8;
  private static final int REGION_BYTES_SHIFT_MIN = 22;
  private static final int REGIONS_MAX_SHIFT = 16;

  /// A region has 4 MiB, or so much more that there are at most 65,536.
  int regionShift() {
    int shift = REGION_BYTES_SHIFT_MIN;
    while (sizeBytes > 1L << (shift + REGIONS_MAX_SHIFT)) {
      shift++;
    }
    return shift;
  }

  int regionCount() {
    return (int) Math.max(1, Math.ceilDiv(sizeBytes, 1L << regionShift()));
  }

  int sectorCount() {
    return Math.ceilDiv(regionCount(), SECTOR_REGIONS);
  }

  static int sectorOf(int region) {
    return region / SECTOR_REGIONS;
  }

  static long sectorOffset(int sector) {
    return SECTORS_OFFSET + (long) sector * SECTOR_BYTES;
  }

  /// A file that logs nothing.
  byte[] empty(long heartbeatEpochNanos) {
    byte[] file = new byte[SECTORS_OFFSET + sectorCount() * SECTOR_BYTES];
    ByteBuffer buffer = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    buffer.putLong(MAGIC).putLong(nonce).putLong(sizeBytes).putLong(1L << regionShift());
    buffer.putInt(ContentHeader.checksum(file, 0, 32));
    buffer.put(HEARTBEAT_OFFSET, heartbeat(heartbeatEpochNanos, OptionalLong.empty()));
    BitSet none = new BitSet();
    for (int i = 0; i < sectorCount(); i++) {
      buffer.put((int) sectorOffset(i), sector(i, none));
    }
    return file;
  }

  /// @param modifiedEpochNanos when the disk was last written to, or not known
  static byte[] heartbeat(long epochNanos, OptionalLong modifiedEpochNanos) {
    byte[] bytes = new byte[2 * TIME_BYTES];
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    putTime(buffer, epochNanos);
    modifiedEpochNanos.ifPresent(modified -> putTime(buffer, modified));
    return bytes;
  }

  private static void putTime(ByteBuffer buffer, long epochNanos) {
    buffer.putLong(epochNanos).putInt(ContentHeader.checksum(longBytes(epochNanos), 0, 8));
  }

  private static byte[] longBytes(long value) {
    byte[] bytes = new byte[8];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(value);
    return bytes;
  }

  /// One sector as it is to be written.
  byte[] sector(int index, BitSet regions) {
    byte[] bytes = new byte[SECTOR_BYTES];
    byte[] bits = regions.get(index * SECTOR_REGIONS, (index + 1) * SECTOR_REGIONS).toByteArray();
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    buffer.putInt(4, index).putLong(8, nonce).put(SECTOR_HEAD_BYTES, bits);
    buffer.putInt(0, ContentHeader.checksum(bytes, 4, SECTOR_BYTES - 4));
    return bytes;
  }

  /// The regions that a file names. A sector that cannot be told names all of its own.
  ///
  /// @throws IOException when it is another disk's log, or another log of this one
  BitSet regions(byte[] file) throws IOException {
    checkHeader(file);
    ByteBuffer buffer = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    BitSet regions = new BitSet(regionCount());
    for (int i = 0; i < sectorCount(); i++) {
      int at = (int) sectorOffset(i);
      int first = i * SECTOR_REGIONS;
      if (buffer.getInt(at) == ContentHeader.checksum(file, at + 4, SECTOR_BYTES - 4)
          && buffer.getInt(at + 4) == i
          && buffer.getLong(at + 8) == nonce) {
        BitSet bits =
            BitSet.valueOf(buffer.slice(at + SECTOR_HEAD_BYTES, SECTOR_BYTES - SECTOR_HEAD_BYTES));
        bits.stream().forEach(bit -> regions.set(first + bit));
      } else {
        regions.set(first, first + SECTOR_REGIONS);
      }
    }
    regions.clear(regionCount(), Math.max(regionCount(), regions.length()));
    return regions;
  }

  /// When the server that wrote the log was last known to run.
  OptionalLong heartbeatOf(byte[] file) throws IOException {
    return time(file, HEARTBEAT_OFFSET);
  }

  /// When the disk had last been written to by then; empty when that was not noted.
  OptionalLong modifiedOf(byte[] file) throws IOException {
    return time(file, HEARTBEAT_OFFSET + TIME_BYTES);
  }

  private OptionalLong time(byte[] file, int offset) throws IOException {
    checkHeader(file);
    ByteBuffer buffer = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    long epochNanos = buffer.getLong(offset);
    return buffer.getInt(offset + 8) == ContentHeader.checksum(longBytes(epochNanos), 0, 8)
        ? OptionalLong.of(epochNanos)
        : OptionalLong.empty();
  }

  /// Makes the mapped file of a log one that nothing is to be believed with.
  static void giveUp(MemorySegment file) {
    file.set(LITTLE_ENDIAN_LONG, 0, MAGIC_GIVEN_UP);
  }

  /// The same, to be written to the beginning of its file.
  static byte[] givenUp() {
    byte[] bytes = new byte[Long.BYTES];
    giveUp(MemorySegment.ofArray(bytes));
    return bytes;
  }

  static boolean isGivenUp(byte[] file) {
    return file.length >= Long.BYTES
        && MemorySegment.ofArray(file).get(LITTLE_ENDIAN_LONG, 0) == MAGIC_GIVEN_UP;
  }

  int fileBytes() {
    return SECTORS_OFFSET + sectorCount() * SECTOR_BYTES;
  }

  private void checkHeader(byte[] file) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    if (file.length != fileBytes()
        || buffer.getLong(0) != MAGIC
        || buffer.getLong(8) != nonce
        || buffer.getLong(16) != sizeBytes
        || buffer.getLong(24) != 1L << regionShift()
        || buffer.getInt(32) != ContentHeader.checksum(file, 0, 32)) {
      throw new IOException("the activity log is torn, or another one");
    }
  }
}
