// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Whoever reads a snapshot gives way to guests, in the system's eyes, too, and so does java's
/// optimising compiler.
@Timeout(120)
final class ReaderPriorityTest {
  private static final int NICE_FIELD_BEHIND_NAME = 16; // proc_pid_stat(5): the 19th field

  @TempDir private Path directory;

  @Test
  void threadsThatServeBackupsAreTenStepsNicerThanThoseOfGuests() throws Exception {
    byte[] old = Images.random(directory.resolve("vda.img"), 1 << 20, 1);
    Path image = directory.resolve("vda.img");
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      Images.write(guest, 0, Images.filled(4096, 0xee));
      try (NbdClient backup = server.connect("vda@nightly")) {
        assertEquals(old[0], Images.read(backup, 0, 1)[0]);
        int own = Integer.parseInt(nices(server.pid(), "nbd-loop").first());
        assertEquals(1, nices(server.pid(), "nbd-loop").size());
        assertEquals(
            String.valueOf(Math.min(19, own + 10)),
            String.join(" ", nices(server.pid(), "nbd-reader")));
      }
    }
  }

  @Test
  void theOptimizingCompilerGivesWayFromTheStart() throws Exception {
    Path image = directory.resolve("vda.img");
    byte[] _ = Images.random(image, 1 << 20, 1);
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start()) {
      String own = nices(server.pid(), "nbd-loop").first();
      String nicer = String.valueOf(Math.min(19, Integer.parseInt(own) + 10));
      Awaitility.await()
          .untilAsserted(() -> assertEquals(Set.of(nicer), nices(server.pid(), "C2 Compiler")));
      assertEquals(Set.of(own), nices(server.pid(), "C1 Compiler"));
    }
  }

  private static SortedSet<String> nices(long pid, String name) throws IOException {
    SortedSet<String> nices = new TreeSet<>();
    try (Stream<Path> threads = Files.list(Path.of("/proc/" + pid + "/task"))) {
      for (Path thread : threads.toList()) {
        String stat;
        try {
          stat = Files.readString(thread.resolve("stat"));
        } catch (IOException ended) {
          assertFalse(Files.exists(thread), ended::toString);
          continue;
        }
        if (stat.contains("(" + name)) {
          String behindName = stat.substring(stat.lastIndexOf(')') + 2);
          nices.add(behindName.split(" ", -1)[NICE_FIELD_BEHIND_NAME]);
        }
      }
    }
    return nices;
  }
}
