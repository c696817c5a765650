// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.roaringbitmap.RoaringBitmap;

/// The stored form of a set that does not change any more: a [ContentHeader], then the portable
/// form of RoaringBitmap.
final class SealedSet {
  /// The portable form of a set of 2^32 granules takes no more.
  static final long FILE_BYTES_MAX = 600L << 20;

  private SealedSet() {}

  static byte[] encode(String name, ContentHeader.IdentityHash identity, GranuleSet set)
      throws IOException {
    RoaringBitmap granules = set.granules().clone();
    granules.runOptimize();
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

  /// Fails unless the file is whole and this record's.
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
      granules.deserialize(
          ByteBuffer.wrap(Arrays.copyOfRange(file, ContentHeader.BYTES, file.length)));
    } catch (RuntimeException e) {
      throw new IOException(name + " is damaged: not a set", e);
    }
    if (!granules.isEmpty()
        && Integer.toUnsignedLong(granules.last())
            >= ContentHeader.granules(sizeBytes, granularityBytes)) {
      throw new IOException(name + " is damaged: a granule behind the end of the disk");
    }
    return GranuleSet.of(sizeBytes, granularityBytes, granules);
  }
}
