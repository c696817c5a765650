// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageLockTest {
  @TempDir Path directory;
  private Path image = Path.of("");

  @BeforeEach
  void createImage() throws IOException {
    image = directory.resolve("disk.img");
    Files.write(image, new byte[1 << 20]);
  }

  private void assertAcquires(Access access) throws IOException {
    try (LinuxFile file = LinuxFile.open(image, access)) {
      ImageLock.acquire(file, access).close();
    }
  }

  private void assertRefused(Access access) throws IOException {
    try (LinuxFile file = LinuxFile.open(image, access)) {
      ImageInUseException error =
          assertThrows(ImageInUseException.class, () -> ImageLock.acquire(file, access));
      assertTrue(error.toString().contains(image.toString()), error.toString());
    }
  }

  @Test
  void twoWritersOfOneProcessExcludeEachOther() throws IOException {
    try (LinuxFile file = LinuxFile.open(image, Access.READ_WRITE)) {
      ImageLock.acquire(file, Access.READ_WRITE);
      assertRefused(Access.READ_WRITE);
    }
    assertAcquires(Access.READ_WRITE);
  }

  @Test
  void releasedLockLetsTheNextWriterIn() throws IOException {
    try (LinuxFile file = LinuxFile.open(image, Access.READ_WRITE)) {
      ImageLock.acquire(file, Access.READ_WRITE).close();
      assertAcquires(Access.READ_WRITE);
    }
  }

  @Test
  void refusedAttemptLeavesNoLockBehind() throws IOException {
    try (LinuxFile holder = LinuxFile.open(image, Access.READ_WRITE);
        LinuxFile refused = LinuxFile.open(image, Access.READ_WRITE)) {
      ImageLock held = ImageLock.acquire(holder, Access.READ_WRITE);
      assertThrows(ImageInUseException.class, () -> ImageLock.acquire(refused, Access.READ_WRITE));
      held.close();
      assertAcquires(Access.READ_WRITE);
    }
  }

  @Test
  void readersGoWithReaders() throws IOException {
    try (LinuxFile file = LinuxFile.open(image, Access.READ_ONLY)) {
      ImageLock.acquire(file, Access.READ_ONLY);
      assertAcquires(Access.READ_ONLY);
    }
  }

  @Test
  void qemuCannotWriteWhatWeServe() throws Exception {
    assumeTrue(Tool.isThere("qemu-io"), "qemu-io not found: apt-get install qemu-utils");
    String write = "write -P 1 0 512";
    try (LinuxFile file = LinuxFile.open(image, Access.READ_WRITE)) {
      ImageLock.acquire(file, Access.READ_WRITE);
      Tool refused = Tool.run("qemu-io", "-f", "raw", "-c", write, image.toString());
      assertEquals(1, refused.exit(), refused.output());
      assertTrue(refused.output().contains("Failed to get \"write\" lock"), refused.output());
      Tool shared = Tool.run("qemu-img", "info", "-U", image.toString());
      assertEquals(0, shared.exit(), shared.output());
    }
    Tool allowed = Tool.run("qemu-io", "-f", "raw", "-c", write, image.toString());
    assertEquals(0, allowed.exit(), allowed.output());
  }

  @Test
  void qemuMayReadWhatWeServeReadOnly() throws Exception {
    assumeTrue(Tool.isThere("qemu-io"), "qemu-io not found: apt-get install qemu-utils");
    try (LinuxFile file = LinuxFile.open(image, Access.READ_ONLY)) {
      ImageLock.acquire(file, Access.READ_ONLY);
      Tool read = Tool.run("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", image.toString());
      assertEquals(0, read.exit(), read.output());
    }
  }

  @Test
  void weRefuseWhatQemuWrites() throws Exception {
    assumeTrue(Tool.isThere("qemu-io"), "qemu-io not found: apt-get install qemu-utils");
    Process qemu = heldByQemu();
    assertRefused(Access.READ_WRITE);
    qemu.getOutputStream().close();
    assertEquals(0, qemu.waitFor());
    assertAcquires(Access.READ_WRITE);
  }

  @Test
  void weReadBesideQemuReading() throws Exception {
    assumeTrue(Tool.isThere("qemu-io"), "qemu-io not found: apt-get install qemu-utils");
    Process qemu = heldByQemu("-r");
    assertAcquires(Access.READ_ONLY);
    qemu.getOutputStream().close();
    assertEquals(0, qemu.waitFor());
  }

  /// qemu-io with the image open, waiting for commands.
  private Process heldByQemu(String... options) throws IOException {
    String[] command = new String[options.length + 4];
    command[0] = "qemu-io";
    command[1] = "-f";
    command[2] = "raw";
    System.arraycopy(options, 0, command, 3, options.length);
    command[command.length - 1] = image.toString();
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().write("read 0 512\n".getBytes(UTF_8));
    process.getOutputStream().flush();
    BufferedReader output =
        new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
    String line = output.readLine();
    while (line != null && !line.contains("read 512/512")) {
      line = output.readLine();
    }
    assertTrue(line != null, "qemu-io did not open the image");
    return process;
  }
}
