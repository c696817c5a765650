// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import io.nbdfleece.cache.posix.LinuxFile.Kind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Needs the right to set up a loop device; says so when it is skipped.
class BlockDeviceTest {
  private static final int SIZE = 4 << 20;

  @TempDir Path directory;

  @Test
  void blockDeviceHasSizeKindBlockSizeAndHoles() throws Exception {
    Path image = directory.resolve("image");
    Files.write(image, new byte[SIZE]);
    Tool losetup = Tool.run("losetup", "--find", "--show", image.toString());
    assumeTrue(losetup.exit() == 0, "no loop device here: " + losetup.output());
    Path device = Path.of(losetup.output().strip());
    try (LinuxFile file = LinuxFile.open(device, Access.READ_WRITE)) {
      assertEquals(Kind.BLOCK, file.kind());
      assertEquals(SIZE, file.sizeBytes());
      assertEquals(512, file.logicalBlockBytes());
      assertFalse(file.neverWaits());
      assertEquals(4096, file.seekData(4096));
      assertEquals(SIZE, file.seekHole(4096));
      assertEquals(LinuxFile.NONE, file.seekData(SIZE));
      writeAndPunch(file);
    } finally {
      assertEquals(0, Tool.run("losetup", "-d", device.toString()).exit());
    }
  }

  private static void writeAndPunch(LinuxFile file) throws IOException {
    ByteBuffer data = ByteBuffer.allocateDirect(8192);
    data.put(0, (byte) 1).put(4096, (byte) 2);
    assertEquals(8192, file.writeDurable(data, 0));
    file.punchHole(0, 4096);
    ByteBuffer back = ByteBuffer.allocateDirect(8192);
    assertEquals(8192, file.read(back, 0));
    assertEquals(0, back.get(0));
    assertEquals(2, back.get(4096));
  }
}
