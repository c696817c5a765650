// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.Granules;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
final class SealedSetTest {
  private static final String NAME = "1-2.set";
  private static final ContentHeader.IdentityHash IDENTITY = ContentHeader.hash("a disk");
  private static final long SIZE_BYTES = 300_000_001;

  private static byte[] stored(GranuleSet set) {
    return SealedSet.encode(NAME, IDENTITY, set);
  }

  private static GranuleSet read(byte[] file, GranuleSet like) throws IOException {
    return SealedSet.decode(file, NAME, IDENTITY, like.sizeBytes(), like.granularityBytes());
  }

  private static Random seeded(String what) {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println(what + " seed: " + seed);
    return new Random(seed);
  }

  private static GranuleSet random(Random random, long sizeBytes, int ranges) {
    GranuleSet.Builder builder = GranuleSet.builder(sizeBytes, 512);
    for (int i = 0; i < ranges; i++) {
      long offset = random.nextLong(sizeBytes);
      long most = Math.min(sizeBytes - offset, 1L << random.nextInt(10, 40));
      builder.addRange(offset, 1 + random.nextLong(most));
    }
    return builder.build();
  }

  private static void assertReadBack(GranuleSet set) throws IOException {
    assertEquals(set, read(stored(set), set));
  }

  @Test
  void whatIsWrittenIsReadBack() throws IOException {
    Random random = seeded("sealed set");
    for (int round = 0; round < 50; round++) {
      long size = 1 + random.nextLong(1L << random.nextInt(10, 40));
      GranuleSet set = random(random, size, random.nextInt(1 << random.nextInt(13)));
      assertReadBack(set);
      assertReadBack(set.union(random(random, size, 3)));
    }
  }

  @Test
  void emptyAndFullAndTheLargestAreReadBack() throws IOException {
    assertReadBack(GranuleSet.empty(0, 512));
    assertReadBack(GranuleSet.full(77, 1 << 30));
    assertReadBack(GranuleSet.full(Granules.COUNT_MAX * 512, 512));
  }

  /// Checksums are right, content is not: what a program with a fault, or with an aim, wrote.
  @Test
  void malformedContentWithRightChecksumsIsRefused() {
    Random random = seeded("malformed set");
    GranuleSet set = random(random, SIZE_BYTES, 40);
    byte[] good = stored(set);
    int payloadBytes = good.length - ContentHeader.BYTES;
    int refused = 0;
    for (int round = 0; round < 2000; round++) {
      byte[] bad = good.clone();
      bad[ContentHeader.BYTES + random.nextInt(payloadBytes)] = (byte) random.nextInt();
      seal(bad);
      try {
        read(bad, set).forEachRange((offset, length) -> assertTrue(length > 0));
      } catch (IOException e) {
        refused++;
      }
    }
    assertTrue(refused > 100, "refused: " + refused);
  }

  @Test
  void contentThatIsCutWithRightChecksumsIsRefused() {
    GranuleSet set = random(seeded("cut set"), SIZE_BYTES, 40);
    byte[] good = stored(set);
    for (int length = ContentHeader.BYTES; length <= good.length + 1; length++) {
      if (length != good.length) {
        byte[] bad = Arrays.copyOf(good, length);
        seal(bad);
        assertThrows(IOException.class, () -> read(bad, set), "length " + length);
      }
    }
  }

  private static void seal(byte[] file) {
    int payloadBytes = file.length - ContentHeader.BYTES;
    byte[] header =
        new ContentHeader(
                ContentHeader.Kind.SEALED,
                SIZE_BYTES,
                512,
                IDENTITY,
                NAME,
                payloadBytes,
                ContentHeader.checksum(file, ContentHeader.BYTES, payloadBytes))
            .encode();
    System.arraycopy(header, 0, file, 0, header.length);
  }
}
