// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Against a byte array.
final class ApplyTest {
  private static final int SIZE_BYTES = (1 << 20) + 512;
  private static final int GRANULE_BYTES = 4096;
  private static final long SEED = 20261121;

  private final Random random = new Random(SEED);
  private final byte[] disk = new byte[SIZE_BYTES];
  private Path file = Path.of("");

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void full() throws IOException {
    random.nextBytes(disk);
    file = Files.write(directory.resolve("full.img"), disk);
  }

  @Test
  void deltasInOrderRestoreEachPoint() throws IOException {
    List<Path> deltas = new ArrayList<>();
    for (int i = 1; i <= 5; i++) {
      deltas.add(delta("inc" + i, "vda", i));
    }
    Apply.Summary summary = new Apply(deltas, file).run();
    assertArrayEquals(disk, Files.readAllBytes(file));
    assertEquals(5, summary.deltas());
    // Done again, as after an interruption, it makes no difference.
    new Apply(deltas, file).run();
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  @Test
  void theWrongOrderIsRefused() throws IOException {
    Path first = delta("inc1", "vda", 1);
    Path second = delta("inc2", "vda", 2);
    assertRefused(ExitCode.USAGE, "give the oldest first", second, first);
    assertRefused(ExitCode.USAGE, "give the oldest first", first, first);
  }

  @Test
  void anotherDisksDeltaIsRefused() throws IOException {
    assertRefused(
        ExitCode.USAGE, "of another disk", delta("inc1", "vda", 1), delta("inc2", "vdb", 2));
  }

  @Test
  void anImageOfAnotherSizeIsRefused() throws IOException {
    Path delta = delta("inc1", "vda", 1);
    Files.write(file, new byte[4096]);
    assertRefused(ExitCode.FAILED, "the deltas are of a disk of", delta);
  }

  @Test
  void aDamagedDeltaIsFoundBeforeAnythingIsWritten() throws IOException {
    Path first = delta("inc1", "vda", 1);
    Path second = delta("inc2", "vda", 2);
    DeltaExtent data =
        DeltaMap.read(DeltaMap.pathOf(second)).extents().stream()
            .filter(extent -> !extent.isZero())
            .findFirst()
            .orElseThrow();
    byte[] content = Files.readAllBytes(second);
    content[(int) data.offsetBytes()] ^= 1;
    Files.write(second, content);
    assertRefused(ExitCode.FAILED, "inc2.delta: is not what its map says", first, second);
    Files.write(second, Arrays.copyOf(content, 4096));
    assertRefused(ExitCode.FAILED, "its size is 4096", first, second);
  }

  @Test
  void anImageInUseIsRefused() throws IOException {
    Path delta = delta("inc1", "vda", 1);
    try (LinuxFile inUse = LinuxFile.open(file, LinuxFile.Access.READ_WRITE)) {
      ImageLock.acquire(inUse, LinuxFile.Access.READ_WRITE);
      assertRefused(ExitCode.BUSY, "in use", delta);
    }
  }

  @Test
  void whatIsMissingIsNotFound() throws IOException {
    Path delta = delta("inc1", "vda", 1);
    assertRefused(ExitCode.NOT_FOUND, "none.map", directory.resolve("none"));
    Files.delete(file);
    assertEquals(
        ExitCode.NOT_FOUND,
        assertThrows(CommandFailure.class, () -> new Apply(List.of(delta), file).run()).code());
  }

  private void assertRefused(ExitCode code, String text, Path... deltas) throws IOException {
    byte[] before = Files.readAllBytes(file);
    CommandFailure failure =
        assertThrows(CommandFailure.class, () -> new Apply(List.of(deltas), file).run());
    assertEquals(code, failure.code(), Messages.of(failure));
    assertTrue(Messages.of(failure).contains(text), Messages.of(failure));
    assertArrayEquals(before, Files.readAllBytes(file));
  }

  /// Changes the disk at random and writes down what has changed.
  private Path delta(String name, String diskName, int minute) throws IOException {
    byte[] sparse = new byte[SIZE_BYTES];
    List<DeltaExtent> extents = new ArrayList<>();
    for (int at = 0; at < SIZE_BYTES; at += GRANULE_BYTES) {
      int lengthBytes = Math.min(GRANULE_BYTES, SIZE_BYTES - at);
      int choice = random.nextInt(4);
      if (choice == 0) {
        Arrays.fill(disk, at, at + lengthBytes, (byte) 0);
        extents.add(new DeltaExtent(at, lengthBytes, OptionalInt.empty()));
      } else if (choice == 1) {
        for (int i = at; i < at + lengthBytes; i++) {
          disk[i] = (byte) random.nextInt();
        }
        System.arraycopy(disk, at, sparse, at, lengthBytes);
        CRC32C crc = new CRC32C();
        crc.update(disk, at, lengthBytes);
        extents.add(new DeltaExtent(at, lengthBytes, OptionalInt.of((int) crc.getValue())));
      }
    }
    Path delta = Files.write(directory.resolve(name + ".delta"), sparse);
    String instant = "2026-11-21T03:0" + minute + ":00Z";
    new DeltaMap(
            new DeltaSource(
                SIZE_BYTES,
                "c" + minute,
                "/s",
                diskName + "@" + name,
                "snapshot " + name + " of disk " + diskName + ", frozen " + instant,
                Instant.parse(instant)),
            extents)
        .write(DeltaMap.pathOf(delta));
    return delta;
  }
}
