// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PeerProgramsTest {
  @TempDir private Path directory;

  private Path program(String root, String name) throws IOException {
    Path bin = Files.createDirectories(directory.resolve(root).resolve("bin"));
    Path path = Files.writeString(bin.resolve(name), "#!/bin/sh\necho " + name + " 9.8.7\n");
    assertTrue(path.toFile().setExecutable(true));
    return path;
  }

  private String bin(String root) {
    return directory.resolve(root).resolve("bin").toString();
  }

  @Test
  void newerOnesComeBeforeThoseOnThePath() throws IOException {
    Path newer = program("newer", "nbdkit");
    Path _ = program("old", "nbdkit");
    Path only = program("old", "fio");
    PeerPrograms programs = new PeerPrograms(Optional.of(directory.resolve("newer")), bin("old"));
    assertEquals(newer.toString(), programs.path("nbdkit"));
    assertEquals(only.toString(), programs.path("fio"));
  }

  @Test
  void whatIsMissingIsNamedWithItsPackage() throws IOException {
    Path _ = program("old", "nbdcopy");
    PeerPrograms programs = new PeerPrograms(Optional.empty(), bin("old"));
    List<String> missing = programs.missing();
    assertTrue(missing.contains("nbdkit: apt-get install nbdkit"), missing::toString);
    assertTrue(missing.contains("qemu-nbd: apt-get install qemu-utils"), missing::toString);
    assertTrue(missing.getLast().contains("integration-tests/debian13-peers"), missing::toString);
    assertFalse(missing.toString().contains("nbdcopy:"), missing::toString);
    assertEquals(
        "qemu-img not found: apt-get install qemu-utils",
        assertThrows(IOException.class, () -> programs.path("qemu-img")).getMessage());
  }

  @Test
  void versionIsTheFirstOneThatItPrints() throws IOException, InterruptedException {
    Path _ = program("old", "nbdkit");
    assertEquals("9.8.7", new PeerPrograms(Optional.empty(), bin("old")).version("nbdkit"));
  }
}
