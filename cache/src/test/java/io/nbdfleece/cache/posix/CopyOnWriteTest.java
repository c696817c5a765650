// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class CopyOnWriteTest {
  private static final long VOLUME_BYTES = 256 << 20;
  private static final int FILE_BYTES = 4 << 20;

  @TempDir Path directory;

  @Test
  void fileOfAnyFileSystemGoesOnAsBefore() throws IOException {
    Path path = directory.resolve("file");
    try (LinuxFile file = LinuxFile.create(path)) {
      CopyOnWrite.avoid(file);
      write(file, 5);
    }
    assertEquals(FILE_BYTES, Files.size(path));
  }

  /// Needs the right to mount; says so when it is skipped.
  @Test
  void fileOfAFullBtrfsCanStillBeChanged() throws Exception {
    Path image = directory.resolve("image");
    try (RandomAccessFile volume = new RandomAccessFile(image.toFile(), "rw")) {
      volume.setLength(VOLUME_BYTES);
    }
    Tool made = Tool.run("mkfs.btrfs", "-q", image.toString());
    assumeTrue(made.exit() == 0, "no btrfs here: " + made.output());
    Path mounted = Files.createDirectory(directory.resolve("mounted"));
    Tool mount = Tool.run("mount", "-o", "loop", image.toString(), mounted.toString());
    assumeTrue(mount.exit() == 0, "no btrfs here: " + mount.output());
    try (LinuxFile inPlace = LinuxFile.create(mounted.resolve("in-place"))) {
      CopyOnWrite.avoid(inPlace);
      inPlace.preallocate(FILE_BYTES);
      fill(mounted);
      for (int round = 0; round < 5; round++) {
        write(inPlace, round);
        inPlace.sync();
      }
    } finally {
      assertEquals(0, Tool.run("umount", mounted.toString()).exit());
    }
  }

  private static void fill(Path mounted) throws IOException {
    try (LinuxFile filler = LinuxFile.create(mounted.resolve("filler"))) {
      ByteBuffer data = ByteBuffer.allocateDirect(1 << 20);
      PosixException full =
          assertThrows(
              PosixException.class,
              () -> {
                for (long at = 0; ; at += data.capacity()) {
                  int _ = filler.write(data.clear(), at);
                }
              });
      assertTrue(full.isNoRoom(), full::getMessage);
    }
  }

  private static void write(LinuxFile file, int value) throws IOException {
    ByteBuffer data = ByteBuffer.allocateDirect(FILE_BYTES);
    while (data.hasRemaining()) {
      data.put((byte) value);
    }
    data.flip();
    for (long at = 0; data.hasRemaining(); ) {
      at += file.write(data, at);
    }
  }
}
