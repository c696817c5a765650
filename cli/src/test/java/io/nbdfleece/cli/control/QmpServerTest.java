// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.DiskStatistics;
import io.nbdfleece.fleecing.SnapshotRequest;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Timeout(30)
final class QmpServerTest {
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
  void whatHasTakenThePlaceOfTheSocketStays() throws IOException {
    Files.move(path, directory.resolve("away"));
    try (QmpServer _ = QmpServer.start(path, target, QmpLimits.defaults())) {
      server.close();
      assertTrue(Files.exists(path));
    }
    assertFalse(Files.exists(path));
  }

  @Test
  void theGreetingNamesTheVersion() throws IOException {
    try (RawClient client = new RawClient(path)) {
      JsonNode greeting = client.receive();
      assertTrue(greeting.path("QMP").path("capabilities").isEmpty());
      assertEquals(10, greeting.path("QMP").path("version").path("qemu").path("major").asInt());
      assertTrue(
          greeting.path("QMP").path("version").path("package").asString().startsWith("nbdfleece"));
    }
  }

  @Test
  void commandsBeforeNegotiationAreRefusedInQemusWords() throws IOException {
    try (RawClient client = new RawClient(path)) {
      assertTrue(client.receive().has("QMP"));
      JsonNode error = client.ask("{'execute':'query-status','id':7}").path("error");
      assertEquals("CommandNotFound", error.path("class").asString());
      assertEquals(
          "Expecting capabilities negotiation with 'qmp_capabilities'",
          error.path("desc").asString());
    }
  }

  @Test
  void negotiationHappensOnce() throws IOException {
    try (RawClient client = negotiated()) {
      assertEquals(
          "Capabilities negotiation is already complete, command ignored",
          client.ask("{'execute':'qmp_capabilities'}").path("error").path("desc").asString());
    }
  }

  @Test
  void idsOfAnyTypeComeBack() throws IOException {
    try (RawClient client = negotiated()) {
      assertEquals(
          Json.parse("{\"a\":[1]}".getBytes(UTF_8)),
          client.ask("{'execute':'query-status','id':{'a':[1]}}").path("id"));
      assertEquals("x", client.ask("{'execute':'nonsense','id':'x'}").path("id").asString());
      assertFalse(client.ask("{'execute':'query-status'}").has("id"));
    }
  }

  @Test
  void commandsWithoutFramingAreAnsweredInOrder() throws IOException {
    try (RawClient client = negotiated()) {
      client.send("{'execute':'query-status','id':1}{'execute':'query-status','id':2}");
      assertEquals(1, client.receive().path("id").asInt());
      assertEquals(2, client.receive().path("id").asInt());
    }
  }

  @Test
  void mistakesAreAnsweredAndTheSessionGoesOn() throws IOException {
    try (RawClient client = negotiated()) {
      assertMistake(client, "{'execute':'nonsense'}", "The command nonsense has not been found");
      assertMistake(client, "{}", "QMP input lacks member 'execute'");
      assertMistake(client, "{'execute':1}", "QMP input member 'execute' must be a string");
      assertMistake(client, "{'execute':'quit','x':1}", "QMP input member 'x' is unexpected");
      assertMistake(
          client,
          "{'execute':'quit','arguments':[]}",
          "QMP input member 'arguments' must be an object");
      assertMistake(
          client, "{'execute':'quit','arguments':{'x':1}}", "Parameter 'x' is unexpected");
      assertMistake(client, "[]", "QMP input must be a JSON object");
      assertMistake(client, "{'execute':'fleecing-stop'}", "Parameter 'name' is missing");
      assertMistake(
          client,
          "{'execute':'fleecing-stop','arguments':{'name':1}}",
          "Invalid parameter type for 'name', expected: string");
      for (String bad : List.of("{'a':1,'a':2}", "nonsense\n", "{'a' 1}", "{]")) {
        String text = client.ask(bad).path("error").path("desc").asString();
        assertTrue(text.startsWith("JSON parse error"), bad + ": " + text);
      }
      assertTrue(
          client.ask("{'execute':'query-status'}").path("return").path("running").asBoolean());
    }
  }

  private static void assertMistake(RawClient client, String message, String expected)
      throws IOException {
    assertEquals(
        expected, client.ask(message).path("error").path("desc").asString(), "for " + message);
  }

  @Test
  void aMessageOverTheLimitIsAnsweredAndEndsTheSession() throws IOException {
    try (RawClient client = negotiated()) {
      client.send("{'execute':'" + "x".repeat(1 << 20) + "'}");
      assertTrue(client.receive().path("error").path("desc").asString().contains("too long"));
      assertTrue(client.isAtEnd());
    }
  }

  @Test
  void snapshotArgumentsReachTheEngine() throws Exception {
    try (QmpClient client = QmpClient.connect(path)) {
      JsonNode answer =
          client.execute(
              "fleecing-start",
              arguments(
                  "{'disks':['vdb'],'name':'n','access':'discard','cbw-timeout':3,"
                      + "'on-cbw-error':'break-snapshot'}"));
      assertEquals(
          new SnapshotRequest(
              List.of("vdb"),
              java.util.Optional.of("n"),
              SnapshotRequest.Access.DISCARD,
              SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
              Duration.ofSeconds(3)),
          target.requests.take());
      assertEquals(
          "nbd+unix:///vdb@n?socket=/run/nbd.sock",
          answer.path("disks").path(0).path("uris").path(0).asString());
      assertEquals(1_300_000, answer.path("freeze-nanos").asLong());
    }
  }

  @Test
  void whatASnapshotDoesNotSayComesFromTheServer() throws Exception {
    try (QmpClient client = QmpClient.connect(path)) {
      assertEquals(2, client.execute("fleecing-start", Json.object()).path("disks").size());
      SnapshotRequest request = target.requests.take();
      assertEquals(SnapshotRequest.OnCbwError.BREAK_GUEST_WRITE, request.onCbwError());
      assertEquals(Duration.ofSeconds(7), request.cbwTimeout());
    }
  }

  @Test
  void errorsOfTheEngineCarryTheExitCodeForTheCommandLine() throws IOException {
    try (QmpClient client = QmpClient.connect(path)) {
      assertRefused(client, "fleecing-start", "{'disks':['vdz']}", ExitCode.NOT_FOUND);
      assertRefused(client, "fleecing-stop", "{'name':'n'}", ExitCode.NOT_FOUND);
      JsonNode first = client.execute("fleecing-start", arguments("{'name':'n'}"));
      assertEquals("n", first.path("name").asString());
      assertRefused(client, "fleecing-start", "{'name':'n'}", ExitCode.BUSY);
    }
  }

  private static void assertRefused(
      QmpClient client, String command, String arguments, ExitCode code) {
    QmpException refused =
        assertThrows(QmpException.class, () -> client.execute(command, arguments(arguments)));
    assertEquals(code, refused.exitCode());
  }

  @Test
  void queriesAnswerWithWhatThereIs() throws IOException {
    try (QmpClient client = QmpClient.connect(path)) {
      assertEquals(
          "vdb",
          client.execute("x-nbdfleece-query-disks", Json.object()).path(1).path("name").asString());
      assertTrue(client.execute("query-fleecing", Json.object()).isEmpty());
      assertEquals(
          256 << 20,
          client.execute("x-nbdfleece-query-store", Json.object()).path("ram-bytes-max").asInt());
      assertEquals(46, client.execute("query-commands", Json.object()).size());
    }
  }

  @Test
  void aSurplusClientIsToldWhyAndTheServerGoesOn() throws IOException {
    Path narrow = directory.resolve("narrow.sock");
    List<String> warnings = new ArrayList<>();
    Handler noting = noting(warnings);
    Logger log = Logger.getLogger("nbdfleece.control");
    log.addHandler(noting);
    try (QmpServer _ = QmpServer.start(narrow, target, new QmpLimits(1 << 20, 32, 1));
        QmpClient first = QmpClient.connect(narrow)) {
      for (int i = 0; i < 3; i++) {
        QmpException refused = assertThrows(QmpException.class, () -> QmpClient.connect(narrow));
        assertEquals(ExitCode.BUSY, refused.exitCode());
        assertEquals(
            "more than 1 clients use the control socket: end one of them, or wait",
            refused.getMessage());
      }
      assertTrue(first.execute("query-fleecing", Json.object()).isEmpty());
      assertEquals(1, warnings.size(), warnings::toString);
    } finally {
      log.removeHandler(noting);
    }
  }

  private static Handler noting(List<String> messages) {
    return new Handler() {
      @Override
      public void publish(LogRecord entry) {
        messages.add(entry.getMessage());
      }

      @Override
      public void flush() {}

      @Override
      public void close() {}
    };
  }

  @Test
  void aNodeThatIsNoExportHasNoUri() {
    for (DiskConfig.Listing listing : DiskConfig.Listing.values()) {
      DiskConfig config =
          new DiskConfig("scr", "/srv/scr.img", DiskConfig.Access.READ_WRITE, listing);
      Disk disk =
          new Disk() {
            @Override
            public DiskConfig config() {
              return config;
            }

            @Override
            public long sizeBytes() {
              return 4096;
            }

            @Override
            public DiskStatistics statistics() {
              return new DiskStatistics(0, 0, 0, 0, 0, 0, 0);
            }
          };
      assertEquals(
          listing == DiskConfig.Listing.EXPORTED ? 1 : 0,
          DiskJson.of(disk, target).path("uris").size());
    }
  }

  @Test
  void quitIsAnsweredBeforeItHappens() throws Exception {
    try (QmpClient client = QmpClient.connect(path)) {
      assertTrue(client.execute("quit", Json.object()).isEmpty());
    }
    assertTrue(target.quit.await(10, TimeUnit.SECONDS));
  }

  @Test
  void anIdleClientDoesNotHoldUpOthers() throws IOException {
    try (RawClient idle = new RawClient(path);
        QmpClient other = QmpClient.connect(path)) {
      assertTrue(other.execute("query-status", Json.object()).path("running").asBoolean());
      assertTrue(idle.receive().has("QMP"));
    }
  }

  @Test
  void nativeCallsThatWaitHoldNobodyUp() throws Throwable {
    try (HeldCarriers _ = HeldCarriers.all();
        RawClient client = RawClient.negotiated(path)) {
      assertTrue(client.ask("{'execute':'query-status'}").has("return"));
    }
  }

  @Test
  void theSocketIsItsOwnersOnlyAndGoesWithTheServer() throws IOException {
    assertEquals(PosixFilePermissions.fromString("rw-------"), Files.getPosixFilePermissions(path));
    server.close();
    try (var files = Files.list(directory)) {
      assertEquals(List.of(), files.toList());
    }
  }

  @Test
  void aSecondServerIsRefusedAndTheFirstStays() throws IOException {
    CommandFailure taken =
        assertThrows(
            CommandFailure.class, () -> QmpServer.start(path, target, QmpLimits.defaults()));
    assertEquals(ExitCode.BUSY, taken.code());
    try (QmpClient client = QmpClient.connect(path)) {
      assertTrue(client.execute("query-status", Json.object()).path("running").asBoolean());
    }
  }

  @Test
  void aSocketThatNobodyListensOnIsReplaced() throws IOException {
    Path stale = directory.resolve("stale.sock");
    try (var listener =
        java.nio.channels.ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
      assertTrue(listener.bind(UnixDomainSocketAddress.of(stale)).isOpen());
    }
    assertTrue(Files.exists(stale));
    try (QmpServer _ = QmpServer.start(stale, target, QmpLimits.defaults());
        QmpClient client = QmpClient.connect(stale)) {
      assertTrue(client.execute("query-status", Json.object()).path("running").asBoolean());
    }
  }

  @Test
  void aFileThatIsNoSocketIsLeftAlone() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "precious");
    CommandFailure taken =
        assertThrows(
            CommandFailure.class, () -> QmpServer.start(file, target, QmpLimits.defaults()));
    assertEquals(ExitCode.BUSY, taken.code());
    assertEquals("precious", Files.readString(file));
  }

  @Test
  void aClientWithoutServerSaysWhereItLooked() {
    Path nowhere = directory.resolve("nowhere.sock");
    CommandFailure failure = assertThrows(CommandFailure.class, () -> QmpClient.connect(nowhere));
    assertEquals(ExitCode.UNREACHABLE, failure.code());
    assertTrue(String.valueOf(failure.getMessage()).contains(nowhere.toString()));
  }

  private static ObjectNode arguments(String json) {
    return (ObjectNode) Json.parse(json.getBytes(UTF_8));
  }

  private RawClient negotiated() throws IOException {
    RawClient client = new RawClient(path);
    assertTrue(client.receive().has("QMP"));
    assertTrue(client.ask("{'execute':'qmp_capabilities'}").path("return").isEmpty());
    return client;
  }
}
