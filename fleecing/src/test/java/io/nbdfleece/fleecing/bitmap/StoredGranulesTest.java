// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class StoredGranulesTest {
  @TempDir Path directory;

  private static byte[] stored(GranuleSet set) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    set.writeTo(Channels.newChannel(bytes));
    return bytes.toByteArray();
  }

  private GranuleSet read(byte[] bytes) throws IOException {
    Path file = directory.resolve("set");
    Files.write(file, bytes);
    try (SeekableByteChannel in = Files.newByteChannel(file)) {
      return GranuleSet.readFrom(in);
    }
  }

  private static GranuleSet random(Random random, long sizeBytes, int ranges) {
    GranuleSet.Builder builder = GranuleSet.builder(sizeBytes, 512);
    for (int i = 0; i < ranges; i++) {
      long offset = random.nextLong(sizeBytes);
      builder.addRange(offset, SectorModel.randomLength(random, sizeBytes - offset));
    }
    return builder.build();
  }

  @Test
  void whatIsWrittenIsReadBack() throws Exception {
    Random random = new Random(SectorModel.seed("StoredGranulesTest"));
    for (int round = 0; round < 50; round++) {
      long size = 1 + SectorModel.randomSize(random);
      GranuleSet set = random(random, size, random.nextInt(1 << random.nextInt(13)));
      assertEquals(set, read(stored(set)));
      GranuleSet other = random(random, size, 3);
      assertEquals(set.union(other), read(stored(set.union(other))));
    }
  }

  @Test
  void emptyAndFullAndTheLargestAreReadBack() throws Exception {
    assertEquals(GranuleSet.empty(0, 512), read(stored(GranuleSet.empty(0, 512))));
    assertEquals(GranuleSet.full(77, 1 << 30), read(stored(GranuleSet.full(77, 1 << 30))));
    GranuleSet largest = GranuleSet.full(Granules.COUNT_MAX * 512, 512);
    assertEquals(largest, read(stored(largest)));
  }

  @Test
  void eachFlippedByteIsNoticed() throws Exception {
    Random random = new Random(SectorModel.seed("StoredGranulesTest.flipped"));
    byte[] good = stored(random(random, 300_000_001, 40));
    for (int i = 0; i < good.length; i++) {
      byte[] bad = good.clone();
      bad[i] ^= (byte) (1 << random.nextInt(8));
      assertThrows(IOException.class, () -> read(bad), "byte " + i);
    }
  }

  @Test
  void eachCutAndEachAppendedByteIsNoticed() throws Exception {
    byte[] good = stored(random(new Random(1), 300_000_001, 20));
    for (int length = 0; length <= good.length + 1; length++) {
      if (length != good.length) {
        byte[] bad = Arrays.copyOf(good, length);
        assertThrows(IOException.class, () -> read(bad), "length " + length);
      }
    }
  }

  @Test
  void foreignFilesAreRefused() throws Exception {
    Random random = new Random(SectorModel.seed("StoredGranulesTest.foreign"));
    byte[] foreign = new byte[100_000];
    for (int i = 0; i < 20; i++) {
      random.nextBytes(foreign);
      assertThrows(IOException.class, () -> read(foreign));
    }
    assertThrows(IOException.class, () -> read(new byte[100_000]));
  }

  /// Checksums are right, content is not: what a program with a fault, or with an aim, wrote.
  @Test
  void malformedContentWithRightChecksumsIsRefused() throws Exception {
    Random random = new Random(SectorModel.seed("StoredGranulesTest.malformed"));
    byte[] good = stored(random(random, 300_000_001, 40));
    int refused = 0;
    for (int round = 0; round < 2000; round++) {
      ByteBuffer bytes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
      int at = random.nextInt(8, good.length - 4);
      bytes.put(at, (byte) random.nextInt());
      seal(bytes);
      try {
        GranuleSet set = read(bytes.array());
        set.forEachRange((offset, length) -> assertTrue(length > 0));
      } catch (IOException e) {
        refused++;
      }
    }
    assertTrue(refused > 100, "refused: " + refused);
  }

  @Test
  void laterVersionsAreNamed() throws Exception {
    ByteBuffer bytes =
        ByteBuffer.wrap(stored(GranuleSet.empty(1, 512))).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putInt(8, 2);
    seal(bytes);
    IOException refused = assertThrows(IOException.class, () -> read(bytes.array()));
    assertTrue(refused.toString().contains("version 2"), refused.toString());
  }

  private static void seal(ByteBuffer bytes) {
    bytes.putInt(32, checksum(bytes.slice(40, bytes.capacity() - 40)));
    bytes.putInt(36, checksum(bytes.slice(0, 36)));
  }

  private static int checksum(ByteBuffer bytes) {
    CRC32C checksum = new CRC32C();
    checksum.update(bytes);
    return (int) checksum.getValue();
  }
}
