// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// The main promise, against the packaged program: whatever writers do, a snapshot shows one
/// instant of it, on one disk and across two, for as long as it lives. `-Dtest.seed=N` repeats the
/// choices, `-Dtest.seconds=N` sets how long it writes.
@Timeout(240)
final class PointInTimeTest {
  private static final int DISK_BYTES = 32 << 20;
  private static final int SNAPSHOTS_MAX = 3;
  private static final int WRITES_WANTED = 200_000;
  private static final List<String> DISKS = List.of("vda", "vdb");

  private final long seed = Long.getLong("test.seed", System.nanoTime());
  private final long seconds = Long.getLong("test.seconds", 25);
  private final Random random = new Random(seed);
  private final List<LiveSnapshot> live = new ArrayList<>();
  private final List<LiveSnapshot> ended = new ArrayList<>();
  private int snapshotCount;

  @TempDir private Path directory;

  @Test
  void everySnapshotIsOneInstantOnOneDiskAndAcrossTwo() throws Exception {
    System.out.println("PointInTimeTest: test.seed=" + seed + " test.seconds=" + seconds);
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong numbers = new AtomicLong();
    List<StampWriter> writers = new ArrayList<>();
    List<Thread> threads = new ArrayList<>();
    List<NbdClient> clients = new ArrayList<>();
    Path vda = Images.sparse(directory.resolve("vda.img"), DISK_BYTES);
    Path vdb = Images.sparse(directory.resolve("vdb.img"), DISK_BYTES);
    try (PackagedServer server =
        PackagedServer.in(directory)
            .disk("vda", vda)
            .disk("vdb", vdb)
            .with("--ram", "2M")
            .start()) {
      for (int i = 0; i < 4; i++) {
        clients.add(server.connect(DISKS.get(i % 2)));
        writers.add(new StampWriter(clients.get(i), i % 2, random.nextLong(), numbers, stop));
        threads.add(Thread.ofPlatform().name("writer-" + i).start(writers.get(i)));
      }
      try (ControlSocket control = server.control()) {
        takeReadAndRelease(server, control, numbers);
      } finally {
        stop.set(true);
        for (Thread thread : threads) {
          thread.join();
        }
      }
      writers.forEach(writer -> assertEquals(List.of(), List.copyOf(writer.failures())));
      for (NbdClient client : clients) {
        Images.await(client.flush());
        client.close();
      }
      long nowNanos = System.nanoTime();
      List<View> now = new ArrayList<>();
      for (int disk = 0; disk < 2; disk++) {
        now.add(new View(disk, StampReader.readTwice(server.uri(DISKS.get(disk)), disk)));
      }
      JsonNode store = server.store();
      List<WriteRecord> records = new ArrayList<>();
      writers.forEach(writer -> records.addAll(writer.records()));
      System.out.println(
          "PointInTimeTest: "
              + records.size()
              + " writes, "
              + ended.size()
              + " snapshots, "
              + store);
      PointInTimeChecker checker = new PointInTimeChecker(records);
      assertEquals(
          List.of(), checker.check(new Interval(nowNanos, nowNanos), now), "live, seed=" + seed);
      for (LiveSnapshot snapshot : ended) {
        assertEquals(
            List.of(),
            checker.check(snapshot.window, snapshot.views),
            "snapshot " + snapshot.name + " of " + snapshot.disks + ", seed=" + seed);
      }
      assertTrue(
          store.path("spilled-bytes-total").asLong() * 2
              > store.path("preserved-bytes-total").asLong(),
          "most of it spilled: " + store);
      assertArrayEquals(now.get(0).contents(), StampReader.ofFile(vda, 0));
      assertArrayEquals(now.get(1).contents(), StampReader.ofFile(vdb, 1));
    }
  }

  private void takeReadAndRelease(PackagedServer server, ControlSocket control, AtomicLong numbers)
      throws Exception {
    long startNanos = System.nanoTime();
    long enoughNanos = TimeUnit.SECONDS.toNanos(seconds);
    while (System.nanoTime() - startNanos < enoughNanos
        || (numbers.get() < WRITES_WANTED && System.nanoTime() - startNanos < 3 * enoughNanos)) {
      if (live.size() < SNAPSHOTS_MAX && (live.isEmpty() || random.nextBoolean())) {
        live.add(take(control));
      }
      LiveSnapshot snapshot = live.get(random.nextInt(live.size()));
      snapshot.read(server);
      if (live.size() == SNAPSHOTS_MAX || random.nextInt(3) == 0) {
        end(server, control, live.get(random.nextInt(live.size())));
      }
    }
    while (!live.isEmpty()) {
      end(server, control, live.getFirst());
    }
  }

  private LiveSnapshot take(ControlSocket control) throws IOException {
    List<String> disks =
        switch (random.nextInt(4)) {
          case 0 -> List.of("vda");
          case 1 -> List.of("vdb");
          default -> DISKS;
        };
    String name = "s" + ++snapshotCount;
    ObjectNode arguments = ControlSocket.object().put("name", name);
    ArrayNode names = arguments.putArray("disks");
    disks.forEach(names::add);
    long beforeNanos = System.nanoTime();
    JsonNode _ = control.execute("fleecing-start", arguments);
    return new LiveSnapshot(name, disks, new Interval(beforeNanos, System.nanoTime()));
  }

  private void end(PackagedServer server, ControlSocket control, LiveSnapshot snapshot)
      throws Exception {
    snapshot.read(server);
    JsonNode _ =
        control.execute("fleecing-stop", ControlSocket.object().put("name", snapshot.name));
    live.remove(snapshot);
    ended.add(snapshot);
  }

  /// A snapshot, and what its exports showed when they were first read.
  private final class LiveSnapshot {
    final String name;
    final List<String> disks;
    final Interval window;
    final List<View> views = new ArrayList<>();

    LiveSnapshot(String name, List<String> disks, Interval window) {
      this.name = name;
      this.disks = disks;
      this.window = window;
    }

    /// Reads all of it. Later readings must see what the first one saw.
    void read(PackagedServer server) throws IOException, InterruptedException {
      List<View> seen = new ArrayList<>();
      for (String diskName : disks) {
        int disk = DISKS.indexOf(diskName);
        seen.add(new View(disk, StampReader.readTwice(server.uri(diskName + "@" + name), disk)));
      }
      if (views.isEmpty()) {
        views.addAll(seen);
      }
      for (int i = 0; i < seen.size(); i++) {
        assertEquals(
            List.of(),
            StampReader.difference(views.get(i).contents(), seen.get(i).contents()),
            "a later reading of " + name + " of " + disks + ", seed=" + seed);
      }
    }
  }
}
