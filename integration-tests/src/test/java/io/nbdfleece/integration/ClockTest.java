// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Clocks that show something else than expected. The clock that limits of time are counted with
/// cannot jump while a process lives, but it begins anywhere: a time namespace sets it. The wall
/// clock jumps when somebody sets it: here for the server alone, by a library that is preloaded.
@Timeout(120)
final class ClockTest {
  private static final int SIZE_BYTES = 4 << 20;
  private static final int BLOCK_BYTES = 64 << 10;
  private static final String HUNDRED_YEARS_SECONDS = "3155760000";

  @TempDir private Path directory;
  private byte[] old = new byte[0];

  @BeforeEach
  void prepare() throws IOException {
    old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 17);
  }

  @Test
  void machineThatHasBeenUpForAHundredYearsServesLikeAnyOther() throws Exception {
    try (PackagedServer server = server().through(upForAHundredYears()).start();
        ControlSocket events = server.control();
        NbdClient guest = server.connect("vda")) {
      start(server, "long", "ttl", 3600, "cbw-timeout", 1);
      start(server, "short", "ttl", 1);
      Images.write(guest, 0, Images.filled(BLOCK_BYTES, 0xee));
      JsonNode ended = events.awaitEvent("X_NBDFLEECE_SNAPSHOT_ENDED");
      assertEquals("short", ended.path("name").asString());
      assertFrozen(server, "long", old);
      assertEquals(0, server.disk().path("write-errors").asInt());
    }
  }

  @Test
  void limitsOfTimeDoNotCareForTheWallClock() throws Exception {
    try (WallClock clock = WallClock.compile(directory);
        PackagedServer server = server().through(clock.through()).start();
        NbdClient guest = server.connect("vda")) {
      start(server, "nightly", "ttl", 3600, "idle-ttl", 3600, "cbw-timeout", 1);
      for (Duration jump : List.of(Duration.ofDays(2), Duration.ofDays(-4), Duration.ofDays(2))) {
        clock.jump(jump);
        Pause.of(Duration.ofMillis(500));
        Images.write(guest, 0, Images.filled(BLOCK_BYTES, 0xee));
        JsonNode snapshot = onlySnapshot(server);
        assertFalse(snapshot.path("broken").asBoolean(true), snapshot::toString);
        long left = snapshot.path("seconds-left").asLong();
        assertTrue(left > 3000 && left <= 3600, () -> "after " + jump + ": " + snapshot);
        assertFrozen(server, "nightly", old);
      }
      assertEquals(0, server.disk().path("write-errors").asInt());
    }
  }

  @Test
  void chainOfCheckpointsSurvivesThatTheWallClockIsSet() throws Exception {
    PackagedServer.Setup setup = server().with("--state", directory.resolve("state").toString());
    try (WallClock clock = WallClock.compile(directory);
        PackagedServer server = setup.through(clock.through()).start();
        NbdClient guest = server.connect("vda")) {
      backUp(server, "c1", "");
      Images.write(guest, 0, Images.filled(BLOCK_BYTES, 1));
      clock.jump(Duration.ofHours(-3));
      backUp(server, "c2", "c1");
      Images.write(guest, 2 * BLOCK_BYTES, Images.filled(BLOCK_BYTES, 2));
      clock.jump(Duration.ofHours(5));
      backUp(server, "c3", "c2");
      Images.write(guest, 4 * BLOCK_BYTES, Images.filled(BLOCK_BYTES, 3));
    }
    try (PackagedServer next = setup.start()) {
      assertFalse(next.log().contains("inconsistent"), next.log());
      assertEquals("0+65536 131072+65536 262144+65536", dirtySince(next, "c1"));
      assertEquals("131072+65536 262144+65536", dirtySince(next, "c2"));
      assertEquals("262144+65536", dirtySince(next, "c3"));
    }
  }

  /// Its program sees the wall clock that the test wants.
  private record WallClock(Path library, Path offset) implements AutoCloseable {
    static WallClock compile(Path directory) throws IOException {
      Path library = directory.resolve("wall-clock.so");
      Path source = Program.root().resolve("integration-tests/src/test/c/wall-clock.c");
      Command.Result _ =
          Command.run(
                  Peer.CC.path(),
                  "-shared",
                  "-fPIC",
                  "-O1",
                  "-Wall",
                  "-o",
                  library.toString(),
                  source.toString())
              .succeeds();
      Path offset = Files.write(directory.resolve("wall-clock"), new byte[Long.BYTES]);
      WallClock clock = new WallClock(library, offset);
      clock.jump(Duration.ofDays(-10_000));
      String year =
          Command.run(Command.join(List.of(clock.through()), "date", "-u", "+%Y")).out().strip();
      if (year.isEmpty()
          || !Instant.now().minus(Duration.ofDays(10_000)).toString().startsWith(year)) {
        Peer.absent("a program cannot be shown another wall clock here: date says " + year);
      }
      clock.jump(Duration.ofDays(10_000));
      return clock;
    }

    String[] through() {
      return new String[] {"env", "LD_PRELOAD=" + library, "WALL_CLOCK_OFFSET=" + offset};
    }

    /// From where it is now.
    void jump(Duration by) throws IOException {
      try (FileChannel file =
          FileChannel.open(offset, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        ByteBuffer nanos = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder());
        int _ = file.read(nanos, 0);
        nanos.putLong(0, nanos.getLong(0) + by.toNanos()).rewind();
        int _ = file.write(nanos, 0);
      }
    }

    @Override
    public void close() throws IOException {
      Files.delete(library);
      Files.delete(offset);
    }
  }

  private static String[] upForAHundredYears() throws IOException {
    Peer.requireRoot();
    String[] through = {
      Peer.UNSHARE.path(),
      "--time",
      "--monotonic",
      HUNDRED_YEARS_SECONDS,
      "--boottime",
      HUNDRED_YEARS_SECONDS
    };
    Command.Result uptime = Command.run(Command.join(List.of(through), "cat", "/proc/uptime"));
    if (uptime.exitCode() != 0 || uptime.out().indexOf('.') < HUNDRED_YEARS_SECONDS.length()) {
      Peer.absent("no time namespace that begins with exec (Linux 6.1): " + uptime.err().strip());
    }
    return through;
  }

  private PackagedServer.Setup server() {
    return PackagedServer.in(directory)
        .disk("vda", directory.resolve("vda.img"))
        .with("--ram", "1M");
  }

  private static JsonNode onlySnapshot(PackagedServer server) throws IOException {
    try (ControlSocket control = server.control()) {
      JsonNode all = control.execute("query-fleecing", ControlSocket.object());
      assertEquals(1, all.size(), all::toString);
      return all.get(0);
    }
  }

  private static void start(PackagedServer server, String name, Object... options)
      throws IOException {
    ObjectNode arguments = ControlSocket.object().put("name", name);
    for (int i = 0; i < options.length; i += 2) {
      arguments.put((String) options[i], (Integer) options[i + 1]);
    }
    try (ControlSocket control = server.control()) {
      JsonNode _ = control.execute("fleecing-start", arguments);
    }
  }

  /// A backup that succeeds, of which only the points in time matter.
  private static void backUp(PackagedServer server, String checkpoint, String since)
      throws IOException {
    ObjectNode arguments =
        ControlSocket.object().put("name", "backup").put("checkpoint", checkpoint);
    if (!since.isEmpty()) {
      arguments.put("since", since);
    }
    try (ControlSocket control = server.control()) {
      JsonNode _ = control.execute("fleecing-start", arguments);
      JsonNode _ =
          control.execute(
              "fleecing-stop", ControlSocket.object().put("name", "backup").put("success", true));
    }
  }

  private static String dirtySince(PackagedServer server, String checkpoint) throws IOException {
    JsonNode _ = server.snapshot("check", "since", checkpoint, "bitmap-name", "x");
    String context = "qemu:dirty-bitmap:x";
    try (NbdClient backup = NbdClient.connect(server.uri("vda@check"), List.of(context))) {
      return DirtyMap.read(backup, context).toString();
    } finally {
      server.release("check");
    }
  }

  private static void assertFrozen(PackagedServer server, String name, byte[] content)
      throws IOException {
    try (NbdClient backup = server.connect("vda@" + name)) {
      assertArrayEquals(content, Images.read(backup, 0, SIZE_BYTES), name);
    }
  }
}
