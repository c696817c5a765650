// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.SeekableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;
import org.roaringbitmap.RoaringBitmap;

/// The stored form of a [GranuleSet]. All numbers are little-endian, as in RoaringBitmap's portable
/// format.
///
/// ```
///    0       8         12            16     24               32               36        40
///    | magic | version | granularity | size | payload length | payload CRC32C | CRC32C  | payload
///    | 8     | 4       | 4           | 8    | 8              | 4              | of 0-35 |
/// ```
final class StoredGranules {
  /// "nbdfGRAN".
  private static final long MAGIC = 0x4e41_5247_6664_626eL;

  private static final int VERSION = 1;
  private static final int HEAD_BYTES = 40;
  private static final int HEAD_CHECKED_BYTES = 36;
  private static final int PIECE_BYTES = 64 << 10;

  private StoredGranules() {}

  static void write(GranuleSet set, WritableByteChannel out) throws IOException {
    CRC32C payload = new CRC32C();
    try (OutputStream nowhere = OutputStream.nullOutputStream()) {
      serialize(set.granules(), new CheckedOutputStream(nowhere, payload));
    }
    ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    head.putLong(MAGIC)
        .putInt(VERSION)
        .putInt(set.granularityBytes())
        .putLong(set.sizeBytes())
        .putLong(set.granules().serializedSizeInBytes())
        .putInt((int) payload.getValue());
    head.putInt(checksum(head.duplicate().flip())).flip();
    while (head.hasRemaining()) {
      out.write(head);
    }
    serialize(set.granules(), Channels.newOutputStream(out));
  }

  /* The stream is flushed but not closed: it belongs to the caller. */
  private static void serialize(RoaringBitmap granules, OutputStream out) throws IOException {
    DataOutputStream data = new DataOutputStream(new BufferedOutputStream(out, PIECE_BYTES));
    granules.serialize(data);
    data.flush();
  }

  private static int checksum(ByteBuffer bytes) {
    CRC32C checksum = new CRC32C();
    checksum.update(bytes);
    return (int) checksum.getValue();
  }

  static GranuleSet read(SeekableByteChannel in) throws IOException {
    ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    fill(in, head);
    if (head.getLong() != MAGIC) {
      throw new IOException("not a set of granules: it does not begin as one");
    }
    int version = head.getInt();
    int granularityBytes = head.getInt();
    long sizeBytes = head.getLong();
    long payloadBytes = head.getLong();
    int payloadChecksum = head.getInt();
    if (head.getInt() != checksum(head.slice(0, HEAD_CHECKED_BYTES))) {
      throw new IOException("damaged set of granules: the checksum of its head is wrong");
    }
    if (version != VERSION) {
      throw new IOException("set of granules of version " + version + " (expected: 1)");
    }
    long start = in.position();
    if (in.size() - start != payloadBytes) {
      throw new IOException(
          "torn set of granules: " + (in.size() - start) + " bytes of " + payloadBytes);
    }
    if (checksum(in, payloadBytes) != payloadChecksum) {
      throw new IOException("damaged set of granules: the checksum of its content is wrong");
    }
    in.position(start);
    try {
      return GranuleSet.of(sizeBytes, granularityBytes, deserialize(in, payloadBytes));
    } catch (IllegalArgumentException e) {
      throw new IOException("damaged set of granules: " + e.getMessage(), e);
    }
  }

  private static RoaringBitmap deserialize(SeekableByteChannel in, long payloadBytes)
      throws IOException {
    RoaringBitmap granules = new RoaringBitmap();
    try {
      granules.deserialize(
          new DataInputStream(new BufferedInputStream(Channels.newInputStream(in), PIECE_BYTES)));
    } catch (RuntimeException e) { // the library's way to say that it is malformed
      throw new IOException("damaged set of granules: " + e.getMessage(), e);
    }
    if (!granules.validate() || granules.serializedSizeInBytes() != payloadBytes) {
      throw new IOException("damaged set of granules: its content contradicts itself");
    }
    return granules;
  }

  private static int checksum(SeekableByteChannel in, long lengthBytes) throws IOException {
    CRC32C checksum = new CRC32C();
    ByteBuffer piece = ByteBuffer.allocate(PIECE_BYTES);
    for (long left = lengthBytes; left > 0; left -= piece.limit()) {
      piece.clear().limit((int) Math.min(left, PIECE_BYTES));
      fill(in, piece);
      checksum.update(piece);
    }
    return (int) checksum.getValue();
  }

  private static void fill(SeekableByteChannel in, ByteBuffer target) throws IOException {
    while (target.hasRemaining()) {
      if (in.read(target) < 0) {
        throw new IOException("torn set of granules: it ends too early");
      }
    }
    target.flip();
  }
}
