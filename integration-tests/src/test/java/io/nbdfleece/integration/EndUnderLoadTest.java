// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The server ends while guests write as fast as they can, old data is being preserved and spilled,
/// and bitmaps record: told to by SIGTERM, and killed. `-Dtest.seed=N` repeats what guests write.
///
/// [CrashModelTest] does it over and over, with every command under way at the moment of the kill.
@Timeout(180)
final class EndUnderLoadTest {
  private static final int DISK_BYTES = 64 << 20;
  private static final int BITMAP_GRANULE_BYTES = 4096;
  private static final int CHECKPOINT_GRANULE_BYTES = 64 << 10;
  private static final List<String> DISKS = List.of("vda");

  private final long seed = Long.getLong("test.seed", System.nanoTime());

  @TempDir private Path directory;
  private Path image = Path.of("");
  private Path scratch = Path.of("");

  @BeforeEach
  void prepare() throws IOException {
    System.out.println("EndUnderLoadTest: test.seed=" + seed);
    image = Images.sparse(directory.resolve("vda.img"), DISK_BYTES);
    scratch = Files.createDirectory(directory.resolve("scratch"));
  }

  @Test
  void sigtermKeepsEachAnsweredWriteAndExactBitmaps() throws Exception {
    try (PackagedServer server = withBitmaps(setup().start());
        StampLoad load = loadWithSnapshot(server)) {
      server.signal("TERM");
      assertEquals(0, server.awaitEnd(), server.log());
      load.stop();
      load.failures().forEach(EndUnderLoadTest::assertToldOrCutOff);
      assertShows(StampReader.ofFile(image, 0), load.records());
      assertTrue(server.log().contains("SIGTERM"), server.log());
      assertFalse(server.log().contains("LEAK"), server.log());
      assertBitmapsAfterRestart(load.records());
    }
  }

  @Test
  void killedServerKeepsEachAnsweredWriteAndExactBitmaps() throws Exception {
    try (PackagedServer server = withBitmaps(setup().start());
        StampLoad load = loadWithSnapshot(server)) {
      server.kill();
      load.stop();
      assertShows(StampReader.ofFile(image, 0), load.recordsAfterKill());
      assertBitmapsAfterRestart(load.records());
    }
  }

  @Test
  void killedServerLeavesNothingThatIsInTheWayOfTheNext() throws Exception {
    Path pidFile = directory.resolve("pid");
    try (PackagedServer server = setup().with("--pidfile", pidFile.toString()).start();
        StampLoad load = loadWithSnapshot(server)) {
      assertTrue(ProcessFigures.unnamedBytes(server.pid(), scratch) > 0, "nothing was spilled");
      server.kill();
      load.stop();
    }
    try (Stream<Path> left = Files.list(scratch)) {
      assertEquals(List.of(), left.toList());
    }
    // The sockets, the file of the process id and the locks are those of the killed one.
    assertTrue(Files.exists(pidFile));
    try (PackagedServer next = setup().with("--pidfile", pidFile.toString()).start();
        NbdClient guest = next.connect("vda")) {
      assertEquals(Long.toString(next.pid()), Files.readString(pidFile).strip());
      assertEquals(0, next.store().path("entries").asLong());
      Images.write(guest, 0, Images.filled(4096, 1));
    }
    assertFalse(Files.exists(pidFile));
  }

  private PackagedServer.Setup setup() {
    return PackagedServer.in(directory)
        .disk("vda", image)
        .with("--ram", "1M", "--scratch", scratch.toString())
        .with("--state", directory.resolve("state").toString());
  }

  /// A bitmap and a checkpoint, both persistent, while nothing has been written.
  private static PackagedServer withBitmaps(PackagedServer server) throws IOException {
    try (ControlSocket control = server.control()) {
      JsonNode _ =
          control.execute(
              "block-dirty-bitmap-add",
              ControlSocket.object()
                  .put("node", "vda")
                  .put("name", "b0")
                  .put("granularity", BITMAP_GRANULE_BYTES)
                  .put("persistent", true));
      JsonNode _ =
          control.execute(
              "fleecing-start", ControlSocket.object().put("name", "full").put("checkpoint", "c1"));
      JsonNode _ =
          control.execute(
              "fleecing-stop", ControlSocket.object().put("name", "full").put("success", true));
    }
    return server;
  }

  /// In the middle of writing, preserving and spilling.
  private StampLoad loadWithSnapshot(PackagedServer server) throws IOException {
    StampLoad load = StampLoad.start(server, DISKS, 4, seed);
    load.awaitWrites(500);
    JsonNode _ = server.snapshot("nightly");
    load.awaitWrites(1000);
    Awaitility.await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> server.store().path("spilled-bytes-total").asLong() > 0);
    load.awaitWrites(500);
    return load;
  }

  /// A guest is told that the server shuts down, or finds the connection closed: nothing else.
  private static void assertToldOrCutOff(Throwable failure) {
    Throwable root = failure;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    assertTrue(
        root instanceof NbdException told
            ? told.error() == NbdError.ESHUTDOWN
            : root instanceof IOException,
        failure::toString);
  }

  private void assertShows(long[] contents, List<WriteRecord> records) {
    long nowNanos = System.nanoTime();
    assertEquals(
        List.of(),
        new PointInTimeChecker(records)
            .check(new Interval(nowNanos, nowNanos), List.of(new View(0, contents))),
        "seed=" + seed);
  }

  private void assertBitmapsAfterRestart(List<WriteRecord> records) throws IOException {
    try (PackagedServer next = setup().start()) {
      assertMarks(next, "b0", BITMAP_GRANULE_BYTES, records);
      assertMarks(next, "c1", CHECKPOINT_GRANULE_BYTES, records);
      assertFalse(next.log().contains("inconsistent"), next.log());
    }
  }

  /// Marked is what was written, and perhaps what was under way at the end.
  private void assertMarks(
      PackagedServer server, String since, int granuleBytes, List<WriteRecord> records)
      throws IOException {
    ObjectNode arguments =
        ControlSocket.object().put("name", "check").put("since", since).put("bitmap-name", "x");
    BitSet marked;
    try (ControlSocket control = server.control()) {
      JsonNode _ = control.execute("fleecing-start", arguments);
      String context = "qemu:dirty-bitmap:x";
      try (NbdClient backup = NbdClient.connect(server.uri("vda@check"), List.of(context))) {
        marked = DirtyMap.read(backup, context).granules(granuleBytes);
      }
      JsonNode _ = control.execute("fleecing-stop", ControlSocket.object().put("name", "check"));
    }
    BitSet must = touched(records.stream().filter(StampLoad::isAnswered), granuleBytes);
    BitSet may = touched(records.stream(), granuleBytes);
    System.out.println(
        "EndUnderLoadTest: "
            + since
            + ": "
            + marked.cardinality()
            + " marked, "
            + must.cardinality()
            + " written, "
            + may.cardinality()
            + " with those under way");
    must.andNot(marked);
    assertEquals(new BitSet(), must, () -> since + ": written and not marked, seed=" + seed);
    marked.andNot(may);
    assertEquals(new BitSet(), marked, () -> since + ": marked and not written, seed=" + seed);
  }

  private static BitSet touched(Stream<WriteRecord> writes, int granuleBytes) {
    BitSet granules = new BitSet();
    writes.forEach(
        write -> {
          long end = (long) (write.firstBlock() + write.blockCount()) * Stamp.BLOCK_BYTES;
          granules.set(
              (int) ((long) write.firstBlock() * Stamp.BLOCK_BYTES / granuleBytes),
              (int) ((end + granuleBytes - 1) / granuleBytes));
        });
    return granules;
  }
}
