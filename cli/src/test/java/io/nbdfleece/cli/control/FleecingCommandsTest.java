// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `fleecing-start` and `fleecing-stop` over a socket.
@Timeout(30)
final class FleecingCommandsTest {
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
    server = QmpServer.start(path, target, QmpLimits.defaults());
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  @Test
  void anIncrementReachesTheEngine() throws Exception {
    try (QmpClient client = QmpClient.connect(path)) {
      JsonNode answer =
          client.execute(
              "fleecing-start",
              arguments(
                  "{'disks':['vda'],'checkpoint':'c2','since':'c1','bitmap-name':'b',"
                      + "'outside':'zero','ttl':7200,'idle-ttl':600}"));
      SnapshotRequest request = target.requests.take();
      assertEquals(
          new SnapshotRequest.Increment(
              Optional.of("c2"),
              Optional.of("c1"),
              Map.of(),
              Optional.of("b"),
              SnapshotRequest.Outside.ZERO),
          request.increment());
      assertEquals(
          new SnapshotRequest.Lifetime(
              Optional.of(Duration.ofHours(2)), Optional.of(Duration.ofMinutes(10))),
          request.lifetime());
      assertEquals("c2", answer.path("checkpoint").asString());
      assertEquals("c1", answer.path("disks").path(0).path("since").asString());
      assertEquals("zero", answer.path("outside").asString());
      assertEquals(7200, answer.path("ttl").asLong());
      assertEquals(7200 - 90, answer.path("seconds-left").asLong());
      assertEquals(600, answer.path("idle-ttl").asLong());
    }
  }

  @Test
  void whatIsAboutABitmapNeedsOne() throws IOException {
    try (QmpClient client = QmpClient.connect(path)) {
      for (String arguments : new String[] {"{'outside':'zero'}", "{'bitmap-name':'b'}"}) {
        String text =
            Messages.of(
                assertThrows(
                    QmpException.class,
                    () -> client.execute("fleecing-start", arguments(arguments))));
        assertEquals(true, text.contains("needs 'since'"), text);
      }
      assertEquals(true, target.requests.isEmpty());
    }
  }

  @Test
  void theOutcomeReachesTheEngine() throws Exception {
    try (QmpClient client = QmpClient.connect(path)) {
      for (boolean success : new boolean[] {true, false}) {
        JsonNode _ = client.execute("fleecing-start", arguments("{'name':'n'}"));
        JsonNode _ =
            client.execute("fleecing-stop", arguments("{'name':'n'}").put("success", success));
        assertEquals(
            success ? ReleaseOutcome.SUCCESS : ReleaseOutcome.FAILED, target.outcomes.take());
      }
      JsonNode _ = client.execute("fleecing-start", arguments("{'name':'n'}"));
      JsonNode _ = client.execute("fleecing-stop", arguments("{'name':'n'}"));
      assertEquals(true, target.outcomes.isEmpty());
    }
  }

  private static ObjectNode arguments(String text) {
    return (ObjectNode) Json.parse(text.getBytes(UTF_8));
  }
}
