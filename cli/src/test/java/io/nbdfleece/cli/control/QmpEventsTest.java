// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.control.schema.SchemaCheck;
import io.nbdfleece.fleecing.EngineEvent;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.hook.BudgetStep;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

@Timeout(30)
final class QmpEventsTest {
  private static final int UNREAD_BYTES_MAX = 64 << 10;

  private final FakeTarget target = new FakeTarget();
  private Path path = Path.of("");
  private QmpServer server = never();

  @TempDir Path directory = Path.of("");

  @SuppressWarnings("NullAway") // JUnit fills it before each test.
  private static QmpServer never() {
    return null;
  }

  @BeforeEach
  void start() throws IOException {
    path = directory.resolve("qmp.sock");
    QmpLimits limits = new QmpLimits(1 << 20, 32, 64, UNREAD_BYTES_MAX);
    server = QmpServer.start(path, target, limits);
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  @Test
  void allClientsThatHaveNegotiatedAreToldInOneOrder() throws IOException {
    try (RawClient one = ready();
        RawClient two = ready()) {
      target.events.exportDeleted("e0");
      target.events.exportDeleted("e1");
      for (RawClient client : List.of(one, two)) {
        for (String id : List.of("e0", "e1")) {
          JsonNode event = client.receive();
          assertEquals("BLOCK_EXPORT_DELETED", event.path("event").asString());
          assertEquals(id, event.path("data").path("id").asString());
          assertTrue(event.path("timestamp").path("seconds").asLong() > 1_700_000_000);
          assertTrue(event.path("timestamp").path("microseconds").asInt() < 1_000_000);
        }
      }
    }
  }

  @Test
  void aClientThatHasNotNegotiatedIsToldNothing() throws IOException {
    try (RawClient client = new RawClient(path)) {
      assertTrue(client.receive().has("QMP"));
      target.events.exportDeleted("e0");
      assertTrue(client.ask("{'execute':'qmp_capabilities'}").has("return"));
      assertTrue(client.ask("{'execute':'query-status'}").has("return"));
    }
  }

  @Test
  void aClientThatDoesNotReadIsDroppedAndHoldsNobodyUp() throws IOException {
    String reason = "x".repeat(8 << 10);
    try (RawClient lazy = ready();
        RawClient awake = ready()) {
      // More than the socket's own buffers and ours together.
      for (int i = 0; i < 500; i++) {
        target.events.engineEvent(new EngineEvent.StateLost("vda", reason));
        assertEquals("X_NBDFLEECE_STATE_LOST", awake.receive().path("event").asString());
      }
      assertThrows(IOException.class, () -> receiveAll(lazy));
      assertTrue(awake.ask("{'execute':'query-status'}").has("return"));
    }
  }

  private static void receiveAll(RawClient client) throws IOException {
    while (client.receive().has("event")) {
      // what had been sent before it was dropped
    }
  }

  @Test
  void answersWaitForAClientThatReadsLate() throws IOException {
    try (RawClient client = ready()) {
      client.send("{'execute':'query-qmp-schema'}".repeat(20));
      IntStream.range(0, 20)
          .forEach(i -> assertDoesNotThrow(() -> assertTrue(client.receive().has("return"))));
    }
  }

  @Test
  void theEndIsToldWithItsReason() throws Exception {
    try (RawClient client = ready()) {
      server.close();
      JsonNode event = client.receive();
      assertEquals("SHUTDOWN", event.path("event").asString());
      assertEquals("host-signal", event.path("data").path("reason").asString());
      assertFalse(event.path("data").path("guest").asBoolean(true));
      assertTrue(client.isAtEnd());
    }
  }

  @Test
  void theEndIsToldOnceAndBeforeQuitIsAnswered() throws Exception {
    try (RawClient client = ready()) {
      JsonNode event = client.ask("{'execute':'quit'}");
      assertEquals("SHUTDOWN", event.path("event").asString());
      assertEquals("host-qmp-quit", event.path("data").path("reason").asString());
      assertTrue(client.receive().has("return"));
      assertTrue(target.quit.await(10, TimeUnit.SECONDS));
      server.close();
      assertTrue(client.isAtEnd());
    }
  }

  @Test
  void eventsOfTheEngineAreOfTheTypesThatAreDeclared() throws IOException {
    List<EngineEvent> events =
        List.of(
            new EngineEvent.SnapshotCreated(snapshot()),
            new EngineEvent.SnapshotEnded("n", Optional.of(true), Optional.of("its time was up")),
            new EngineEvent.SnapshotEnded("n", Optional.empty(), Optional.empty()),
            new EngineEvent.SnapshotBroken("n", "vda", "disk full", Instant.EPOCH),
            new EngineEvent.ClusterLost("vda", List.of("n"), 65_536, 65_536, "read error"),
            new EngineEvent.DiskDamaged("vda", "cut"),
            new EngineEvent.DiskDisplaced("vda", "deleted"),
            new EngineEvent.StoreFilling(80, 8 << 20, 10 << 20),
            new EngineEvent.SnapshotNearLimit("n", EngineEvent.Limit.TTL, 80, 100),
            new EngineEvent.SnapshotNearLimit("n", EngineEvent.Limit.MAX_PRESERVED, 80, 100),
            new EngineEvent.GuestWriteSlow("vda", 65_536, 5_000_000_000L),
            new EngineEvent.WriteBudgetStep("vda", BudgetStep.SPILL_SOONER, "slow"),
            new EngineEvent.BitmapInconsistent("vda", "b0", "torn"),
            new EngineEvent.StateLost("vda", "disk full"));
    try (RawClient client = ready()) {
      for (EngineEvent event : events) {
        target.events.engineEvent(event);
        JsonNode told = client.receive();
        QmpEventType type =
            Stream.of(QmpEventType.values())
                .filter(one -> one.name().equals(told.path("event").asString()))
                .findFirst()
                .orElseThrow();
        assertDoesNotThrow(
            () -> SchemaCheck.check(told.path("data"), type.data()), told.toString());
      }
    }
  }

  private static SnapshotStatus snapshot() {
    return new SnapshotStatus(
        "n",
        Instant.EPOCH,
        Duration.ZERO,
        Duration.ZERO,
        SnapshotRequest.Access.READ_ONLY,
        SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
        SnapshotRequest.Increment.NONE,
        SnapshotRequest.Lifetime.UNTIL_RELEASED,
        List.of());
  }

  /// Negotiated, and told of events from now on: that begins right after the answer.
  private RawClient ready() throws IOException {
    RawClient client = RawClient.negotiated(path);
    assertTrue(client.ask("{'execute':'query-status'}").has("return"));
    return client;
  }
}
