// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// The server that holds the disk is killed, and comes back, or does not.
@Timeout(180)
final class UpstreamRestartTest {
  private static final int SIZE_BYTES = 32 << 20;
  private static final int CLUSTER_BYTES = 64 << 10;

  private final long seed = Long.getLong("test.seed", System.nanoTime());

  @TempDir private Path directory;
  private Path image = Path.of("");
  private Path socket = Path.of("");

  @BeforeEach
  void prepare() throws IOException {
    System.out.println("UpstreamRestartTest: test.seed=" + seed);
    image = Images.sparse(directory.resolve("upstream.img"), SIZE_BYTES);
    socket = directory.resolve("upstream.sock");
  }

  @Test
  void guestsAndSnapshotSurviveThatTheUpstreamIsKilledAgainAndAgain() throws Exception {
    PeerServer upstream = upstream();
    try (PackagedServer server = server("--ram", "2M");
        StampLoad load = StampLoad.start(server, List.of("vda"), 2, seed)) {
      load.awaitWrites(500);
      long beforeNanos = System.nanoTime();
      JsonNode _ = server.snapshot("nightly");
      Interval window = new Interval(beforeNanos, System.nanoTime());
      for (int i = 0; i < 3; i++) {
        load.awaitWrites(300);
        upstream.kill();
        Pause.of(Duration.ofMillis(300));
        upstream = upstream();
        load.awaitWrites(300);
      }
      long[] frozen = StampReader.readTwice(server.uri("vda@nightly"), 0);
      load.stop();
      assertEquals(List.of(), load.failures());
      PointInTimeChecker checker = new PointInTimeChecker(load.records());
      assertEquals(List.of(), checker.check(window, List.of(new View(0, frozen))), "seed=" + seed);
      long nowNanos = System.nanoTime();
      long[] live = StampReader.readTwice(server.uri("vda"), 0);
      assertEquals(
          List.of(),
          checker.check(new Interval(nowNanos, nowNanos), List.of(new View(0, live))),
          "live, seed=" + seed);
      assertArrayEquals(live, StampReader.ofFile(image, 0));
      assertTrue(server.log().contains("connected again"), server.log());
      assertEquals(0, server.disk().path("write-errors").asInt());
    } finally {
      upstream.close();
    }
  }

  @Test
  void upstreamThatStaysAwayIsEioUntilItIsBack() throws Exception {
    PeerServer upstream = upstream();
    try (PackagedServer server = server("--reconnect-delay", "1");
        NbdClient guest = server.connect("vda")) {
      Images.write(guest, 0, Images.filled(CLUSTER_BYTES, 0x11));
      upstream.kill();
      NbdException refusal =
          Images.refused(
              NbdError.EIO,
              guest.write(0, Images.filled(CLUSTER_BYTES, 0x22), Export.Durability.CACHED));
      assertTrue(
          String.valueOf(refusal.getMessage()).contains(socket.toString()), refusal::toString);
      NbdException _ = Images.refused(NbdError.EIO, guest.read(0, ByteBuffer.allocateDirect(4096)));
      upstream = upstream();
      Awaitility.await()
          .atMost(Duration.ofSeconds(60))
          .ignoreExceptions()
          .until(() -> Images.read(guest, 0, 1)[0] == 0x11);
      Images.write(guest, 0, Images.filled(CLUSTER_BYTES, 0x33));
      assertTrue(server.log().contains("requests fail until it is back"), server.log());
    } finally {
      upstream.close();
    }
  }

  /// Its guest would wait for the upstream anyway, and does; but not for the snapshot.
  @Test
  void snapshotBreaksWhenTheUpstreamIsAwayForLongerThanTheDeadlineOfCopies() throws Exception {
    PeerServer upstream = upstream();
    try (PackagedServer server = server("--cbw-timeout", "1");
        ControlSocket events = server.control();
        NbdClient guest = server.connect("vda")) {
      Images.write(guest, 0, Images.filled(CLUSTER_BYTES, 0x11));
      JsonNode _ = server.snapshot("nightly");
      upstream.kill();
      CompletableFuture<Void> write =
          guest.write(0, Images.filled(CLUSTER_BYTES, 0x22), Export.Durability.CACHED);
      JsonNode broken = events.awaitEvent("X_NBDFLEECE_SNAPSHOT_BROKEN");
      assertTrue(broken.path("reason").asString().contains("cbw-timeout"), broken::toString);
      assertFalse(write.isDone(), "waits for the upstream alone");
      upstream = upstream();
      Images.await(write);
      assertEquals(0x22, Images.read(guest, 0, 1)[0]);
      assertEquals(0, server.disk().path("write-errors").asInt());
    } finally {
      upstream.close();
    }
  }

  private PeerServer upstream() throws IOException {
    return PeerServer.nbdkit(socket, "file", image.toString());
  }

  private PackagedServer server(String... options) throws IOException {
    return PackagedServer.in(directory)
        .with("--disk", "vda=nbd+unix:///?socket=" + socket)
        .with(options)
        .start();
  }
}
