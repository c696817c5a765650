// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.zip.CRC32C;

/// The first sector of each file that holds a bitmap's bits. It never changes once it is written,
/// and says whose bits they are, so that a file which came here by another way is found out.
///
/// ```
///   0  magic        8  version      12  granularity     16  size of the disk
///  24  identity of the disk (16)    40  payload size    48  payload CRC32C    52  name length
///  56  name of the file (up to 64)                     508  CRC32C of bytes 0 to 507
/// ```
///
/// All numbers are little-endian.
///
/// @param identityHash see [#hash]
/// @param payloadChecksum 0 for content that changes
record ContentHeader(
    Kind kind,
    long sizeBytes,
    int granularityBytes,
    IdentityHash identityHash,
    String name,
    long payloadBytes,
    int payloadChecksum) {
  static final int BYTES = 512;
  static final int NAME_BYTES_MAX = 64;

  private static final int VERSION = 1;
  private static final int CHECKSUM_OFFSET = 508;
  private static final int NAME_OFFSET = 56;

  enum Kind {
    LIVE(0x3145_5649_4C46_424EL), // NBFLIVE1
    SEALED(0x3145_4C41_5346_424EL); // NBFSALE1

    private final long magic;

    Kind(long magic) {
      this.magic = magic;
    }
  }

  /// Half of a SHA-256.
  record IdentityHash(long first, long second) {}

  static IdentityHash hash(String identity) {
    try {
      ByteBuffer digest =
          ByteBuffer.wrap(
              MessageDigest.getInstance("SHA-256")
                  .digest(identity.getBytes(StandardCharsets.UTF_8)));
      return new IdentityHash(digest.getLong(), digest.getLong());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }

  static int checksum(byte[] bytes, int offset, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, offset, length);
    return (int) crc.getValue();
  }

  /// How many granules a disk has. They are numbered with 32 bits.
  static long granules(long sizeBytes, int granularityBytes) throws IOException {
    if (Integer.bitCount(granularityBytes) != 1 || granularityBytes < 512) {
      throw new IOException(
          "granularity: " + granularityBytes + " (expected: a power of two from 512)");
    }
    long granules =
        (sizeBytes >>> Integer.numberOfTrailingZeros(granularityBytes))
            + (sizeBytes % granularityBytes == 0 ? 0 : 1);
    if (granules > 0xFFFF_FFFFL) {
      throw new IOException(
          "granularity: "
              + granularityBytes
              + " is too fine for a disk of "
              + sizeBytes
              + " bytes (limit: 4294967295 granules)");
    }
    return granules;
  }

  byte[] encode() {
    byte[] bytes = new byte[BYTES];
    byte[] text = name.getBytes(StandardCharsets.US_ASCII);
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    buffer.putLong(kind.magic).putInt(VERSION).putInt(granularityBytes).putLong(sizeBytes);
    buffer.putLong(identityHash.first()).putLong(identityHash.second());
    buffer.putLong(payloadBytes).putInt(payloadChecksum).putInt(text.length);
    buffer.put(text);
    buffer.putInt(CHECKSUM_OFFSET, checksum(bytes, 0, CHECKSUM_OFFSET));
    return bytes;
  }

  /// Fails unless the bytes are a header of the same kind, name, disk, size and granularity.
  ///
  /// @param bytes at least [#BYTES]
  static ContentHeader decode(
      byte[] bytes, Kind kind, String name, IdentityHash identity, long sizeBytes, int granularity)
      throws IOException {
    if (bytes.length < BYTES) {
      throw new IOException(name + " is torn: " + bytes.length + " bytes");
    }
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if (buffer.getInt(CHECKSUM_OFFSET) != checksum(bytes, 0, CHECKSUM_OFFSET)) {
      throw new IOException(name + " is damaged: wrong checksum of its header");
    }
    long payloadBytes = buffer.getLong(40);
    ContentHeader expected =
        new ContentHeader(
            kind, sizeBytes, granularity, identity, name, payloadBytes, buffer.getInt(48));
    byte[] text = name.getBytes(StandardCharsets.US_ASCII);
    if (buffer.getLong(0) != kind.magic
        || buffer.getInt(8) != VERSION
        || buffer.getInt(12) != granularity
        || buffer.getLong(16) != sizeBytes
        || buffer.getLong(24) != identity.first()
        || buffer.getLong(32) != identity.second()
        || buffer.getInt(52) != text.length
        || !ByteBuffer.wrap(bytes, NAME_OFFSET, text.length).equals(ByteBuffer.wrap(text))) {
      throw new IOException(name + " belongs to another bitmap or disk");
    }
    return expected;
  }
}
