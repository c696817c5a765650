// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.posix.FileOrigin;
import io.nbdfleece.cache.posix.LinuxFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class FileDiskIdentityTest {
  @TempDir Path directory;

  @Test
  void anotherFileOfTheSameNameIsAnotherDisk() throws IOException {
    Path path = Files.writeString(directory.resolve("disk"), "a");
    Path other = Files.writeString(directory.resolve("other"), "a");
    String before = FileDiskIdentity.of(path).identity();
    assertEquals(before, FileDiskIdentity.of(path).identity());
    Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);
    assertNotEquals(before, FileDiskIdentity.of(path).identity());
  }

  /// Another number after the next start of the machine, perhaps.
  @Test
  void theNumberOfTheDeviceDoesNotMatter() throws IOException {
    Path path = Files.writeString(directory.resolve("disk"), "a");
    assumeTrue(FileOrigin.of(path).bornEpochNanos().isPresent(), "the file system notes no births");
    String identity = FileDiskIdentity.of(path).identity();
    assertTrue(identity.matches("file ino=[0-9]+ born=[0-9]+( fs=[0-9a-f]+)?"), identity);
    String former =
        "file dev="
            + Files.getAttribute(path, "unix:dev")
            + " ino="
            + Files.getAttribute(path, "unix:ino");
    assertTrue(FileDiskIdentity.of(path).wasKnownAs(former), former);
    assertFalse(FileDiskIdentity.of(path).wasKnownAs(former + "1"));
  }

  @Test
  void anOpenFileIsWhatItWasWhateverHasItsName() throws IOException {
    Path path = Files.writeString(directory.resolve("disk"), "abc");
    try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
      FileDiskIdentity identity = FileDiskIdentity.of(file);
      String before = identity.identity() + identity.stamp();
      Files.move(path, directory.resolve("away"));
      Files.writeString(path, "abcd");
      assertEquals(before, identity.identity() + identity.stamp());
      identity.sync();
      assertEquals(3, FileDiskIdentity.of(file).sizeBytes());
    }
  }

  @Test
  void stampTellsAChangeOfANanosecond() throws IOException {
    Path path = Files.writeString(directory.resolve("disk"), "abc");
    FileDiskIdentity identity = FileDiskIdentity.of(path);
    assertEquals(3, identity.sizeBytes());
    Files.setLastModifiedTime(path, FileTime.from(Instant.ofEpochSecond(1000, 1)));
    String before = identity.stamp();
    assertEquals(1_000_000_000_001L, identity.modifiedEpochNanos().getAsLong());
    Files.setLastModifiedTime(path, FileTime.from(Instant.ofEpochSecond(1000, 2)));
    assertNotEquals(before, identity.stamp());
    identity.sync();
  }

  @Test
  void directoryIsNoDisk() {
    IOException e = assertThrows(IOException.class, () -> FileDiskIdentity.of(directory));
    assertTrue(
        String.valueOf(e.getMessage()).contains("neither a regular file nor a block device"));
  }
}
