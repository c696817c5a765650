// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.roaringbitmap.RoaringBitmap;

/// The stored form of a set that does not change any more: a [ContentHeader], then the portable
/// form of RoaringBitmap.
final class SealedSet {
  /// The portable form of a set of 2^32 granules takes no more.
  static final long FILE_BYTES_MAX = 600L << 20;

  private SealedSet() {}

  static byte[] encode(String name, ContentHeader.IdentityHash identity, GranuleSet set) {
    RoaringBitmap granules = set.granules();
    int payloadBytes = Math.toIntExact(granules.serializedSizeInBytes());
    byte[] file = new byte[Math.addExact(ContentHeader.BYTES, payloadBytes)];
    granules.serialize(ByteBuffer.wrap(file, ContentHeader.BYTES, payloadBytes));
    byte[] header =
        new ContentHeader(
                ContentHeader.Kind.SEALED,
                set.sizeBytes(),
                set.granularityBytes(),
                identity,
                name,
                payloadBytes,
                ContentHeader.checksum(file, ContentHeader.BYTES, payloadBytes))
            .encode();
    System.arraycopy(header, 0, file, 0, header.length);
    return file;
  }

  /// Fails unless the file is whole and this record's, and its content a set of this disk's
  /// granules, whoever wrote it.
  static GranuleSet decode(
      byte[] file,
      String name,
      ContentHeader.IdentityHash identity,
      long sizeBytes,
      int granularityBytes)
      throws IOException {
    ContentHeader header =
        ContentHeader.decode(
            file, ContentHeader.Kind.SEALED, name, identity, sizeBytes, granularityBytes);
    int payloadBytes = file.length - ContentHeader.BYTES;
    if (header.payloadBytes() != payloadBytes
        || header.payloadChecksum()
            != ContentHeader.checksum(file, ContentHeader.BYTES, payloadBytes)) {
      throw new IOException(name + " is damaged: wrong size or checksum");
    }
    RoaringBitmap granules = new RoaringBitmap();
    try {
      granules.deserialize(ByteBuffer.wrap(file, ContentHeader.BYTES, payloadBytes).slice());
    } catch (IOException | RuntimeException e) { // either is the library's way to say it
      throw new IOException(name + " is damaged: not a set", e);
    }
    if (!granules.validate() || granules.serializedSizeInBytes() != payloadBytes) {
      throw new IOException(name + " is damaged: its content contradicts itself");
    }
    if (!granules.isEmpty()
        && Integer.toUnsignedLong(granules.last())
            >= ContentHeader.granules(sizeBytes, granularityBytes)) {
      throw new IOException(name + " is damaged: a granule behind the end of the disk");
    }
    return GranuleSet.of(sizeBytes, granularityBytes, granules);
  }
}
