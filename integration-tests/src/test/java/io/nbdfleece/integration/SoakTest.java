// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Threads, file descriptors, memory and scratch space stay flat: over 1,000 snapshots, one after
/// the other, and while all that there is happens at once. `-Dtest.cycles=N` and `-Dtest.minutes=N`
/// for more of it; `./check --soak MINUTES` runs the latter.
final class SoakTest {
  private static final int SIZE_BYTES = 4 << 20;
  private static final int BLOCK_BYTES = 64 << 10;
  private static final long GROWTH_BYTES_MAX = 64 << 20;
  private static final int GROWTH_THREADS_MAX = 4;

  private static final List<String> DISKS = List.of("vda", "vdb");
  private static final int DISK_BYTES = 16 << 20;
  private static final int WARM_ROUNDS = 2;
  private static final int MEASURED_ROUNDS_MIN = 3;
  private static final Duration SHORT_ROUND = Duration.ofSeconds(4);
  private static final Duration LONG_ROUND = Duration.ofSeconds(15);

  private final long minutes = Long.getLong("test.minutes", 0);
  private final int cycles = Integer.getInteger("test.cycles", 1000);
  private final long seed = Long.getLong("test.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir private Path directory;

  @Test
  @Timeout(604_800)
  void everythingAtOnceLeavesNothingBehind() throws Exception {
    System.out.println("SoakTest: test.seed=" + seed + " test.minutes=" + minutes);
    Path scratch = Files.createDirectory(directory.resolve("scratch"));
    PackagedServer.Setup setup =
        PackagedServer.in(directory)
            .jvm(SoakFigures.jvmOptions())
            .with("--ram", "2M", "--scratch", scratch.toString(), "--scratch-limit", "256M")
            .with("--state", directory.resolve("state").toString());
    for (String disk : DISKS) {
      setup = setup.disk(disk, Images.sparse(directory.resolve(disk + ".img"), DISK_BYTES));
    }
    try (PackagedServer server = setup.start()) {
      SoakHistory history = new SoakHistory(DISKS.size(), DISK_BYTES / Stamp.BLOCK_BYTES);
      SoakRoutines routines = new SoakRoutines(server, DISKS, DISK_BYTES);
      List<SoakFigures> series = new ArrayList<>();
      long endNanos = System.nanoTime() + TimeUnit.MINUTES.toNanos(minutes);
      for (int number = 0;
          number < WARM_ROUNDS + MEASURED_ROUNDS_MIN || System.nanoTime() < endNanos;
          number++) {
        SoakRound round = new SoakRound(server, DISKS, history, random.nextLong());
        Map<String, Integer> turns =
            round.run(
                routines,
                minutes == 0 ? SHORT_ROUND : LONG_ROUND,
                "round " + number + ", test.seed=" + seed);
        SoakFigures figures = SoakFigures.of(server, scratch);
        System.out.println("SoakTest: round " + number + ": " + figures + ", " + turns);
        if (number >= WARM_ROUNDS) {
          series.add(figures);
        }
      }
      SoakFigures.assertFlat(series);
      assertFalse(server.log().contains("LEAK"), server.log());
    }
  }

  @Test
  @Timeout(300)
  void thousandSnapshotsLeaveNothingBehind() throws Exception {
    System.out.println("SoakTest: test.seed=" + seed + " test.cycles=" + cycles);
    Path image = directory.resolve("vda.img");
    byte[] content = Images.random(image, SIZE_BYTES, 8);
    try (PackagedServer server =
            PackagedServer.in(directory).disk("vda", image).with("--ram", "1M").start();
        NbdClient guest = server.connect("vda");
        ControlSocket control = server.control()) {
      // Enough for the JIT, the buffers and the pools of threads to have come.
      for (int i = 0; i < cycles / 4; i++) {
        cycle(server, guest, control, content, i);
      }
      ProcessFigures before = server.figures();
      for (int i = 0; i < cycles; i++) {
        cycle(server, guest, control, content, i);
      }
      // The connection of the last backup may still be about to be closed, before as after.
      await().until(() -> server.figures().descriptors() <= before.descriptors());
      ProcessFigures after = server.figures();
      System.out.println("SoakTest: before " + before + ", after " + after);
      assertTrue(after.threads() <= before.threads() + GROWTH_THREADS_MAX, before + " " + after);
      assertTrue(
          after.anonymousBytes() <= before.anonymousBytes() + GROWTH_BYTES_MAX,
          before + " " + after);
      JsonNode store = server.store();
      assertEquals(0, store.path("entries").asLong(), store::toString);
      assertEquals(0, store.path("disk-bytes").asLong(), store::toString);
      assertArrayEquals(content, Images.read(guest, 0, SIZE_BYTES));
    }
  }

  private void cycle(
      PackagedServer server, NbdClient guest, ControlSocket control, byte[] content, int number)
      throws IOException {
    String name = "s" + number;
    JsonNode _ = control.execute("fleecing-start", ControlSocket.object().put("name", name));
    byte[] frozen = content.clone();
    // Every second cycle overwrites more than RAM holds, so that it spills.
    int clusters = number % 2 == 0 ? 4 : 32;
    for (int i = 0; i < clusters; i++) {
      int offset = random.nextInt(SIZE_BYTES / BLOCK_BYTES) * BLOCK_BYTES;
      int value = random.nextInt(256);
      Images.write(guest, offset, Images.filled(4096, value));
      Arrays.fill(content, offset, offset + 4096, (byte) value);
    }
    try (NbdClient backup = server.connect("vda@" + name)) {
      assertArrayEquals(frozen, Images.read(backup, 0, SIZE_BYTES), () -> "test.seed=" + seed);
    }
    JsonNode _ = control.execute("fleecing-stop", ControlSocket.object().put("name", name));
  }
}
