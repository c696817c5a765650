// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.SchemaCheck;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.DiskConfig.Access;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// What commands say they take they do take, over a real socket.
@Timeout(60)
final class CommandSchemaTest {
  /// What is said of arguments that do not fit.
  private static final Pattern MISFIT =
      Pattern.compile(
          "(Parameter '.*' (is missing|is unexpected|expects uint.*))|Invalid parameter type.*");

  private FakeTarget target = new FakeTarget();
  private Path path = Path.of("");
  private List<AutoCloseable> open = List.of();

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void start() throws IOException {
    path = directory.resolve("qmp.sock");
    FleecingEngine engine =
        FleecingEngine.open(new EngineConfig(65536, 16 << 20, directory, 16 << 20, 4));
    for (String disk : List.of("vda", "vdb")) {
      Path image = directory.resolve(disk + ".img");
      Path _ = Files.write(image, new byte[1 << 20]);
      var _ = engine.addDisk(new DiskConfig(disk, image.toString(), Access.READ_WRITE));
    }
    target = new FakeTarget(engine);
    open = List.of(QmpServer.start(path, target, QmpLimits.defaults()), engine);
  }

  @AfterEach
  void stop() throws Exception {
    for (AutoCloseable one : open) {
      one.close();
    }
  }

  private static Stream<String> commands() {
    return new QmpCommands()
        .all().stream().map(QmpCommand::name).filter(Predicate.not(QmpCapabilities.NAME::equals));
  }

  private static QmpCommand command(String name) {
    return new QmpCommands().find(name).orElseThrow();
  }

  @ParameterizedTest
  @MethodSource("commands")
  void membersThatAreDeclaredAreTaken(String name) throws IOException {
    for (boolean withOptional : List.of(false, true)) {
      for (ObjectNode sample : JsonSamples.of(command(name).arguments(), withOptional)) {
        String error = error(send(name, sample));
        assertFalse(MISFIT.matcher(error).matches(), sample + ": " + error);
        assertFalse(error.contains("internal error"), sample + ": " + error);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("commands")
  void membersThatAreDeclaredAsMandatoryAreNeeded(String name) throws IOException {
    for (ObjectNode sample : JsonSamples.of(command(name).arguments(), false)) {
      for (QmpType.Member member : JsonSamples.members(command(name).arguments(), sample)) {
        if (!member.optional()) {
          ObjectNode without = sample.deepCopy();
          JsonNode _ = without.remove(member.name());
          assertEquals("Parameter '" + member.name() + "' is missing", error(send(name, without)));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("commands")
  void membersThatAreNotDeclaredAreRefused(String name) throws IOException {
    ObjectNode sample = JsonSamples.of(command(name).arguments(), false).getFirst();
    assertEquals(
        "Parameter 'undeclared' is unexpected",
        error(send(name, sample.deepCopy().put("undeclared", 1))));
  }

  @ParameterizedTest
  @MethodSource("commands")
  void answersAreOfTheTypeThatIsDeclared(String name) throws Exception {
    target.addresses.add(
        new ControlTarget.NbdAddress(Optional.empty(), Optional.empty(), 0, Duration.ZERO, false));
    for (ObjectNode sample : JsonSamples.of(command(name).arguments(), false)) {
      JsonNode answer = send(name, sample);
      if (answer.has("return")) {
        assertDoesNotThrow(
            () -> SchemaCheck.check(answer.path("return"), command(name).returns()),
            answer.toString());
      }
    }
  }

  @Test
  void theSchemaNamesAllCommandsAndEventsAndDefinesAllTypes() throws IOException {
    JsonNode schema = send("query-qmp-schema", Json.object()).path("return");
    Set<String> defined = new TreeSet<>();
    Set<String> used = new TreeSet<>();
    Set<String> commands = new HashSet<>();
    for (JsonNode entry : schema) {
      assertTrue(defined.add(entry.path("name").asString()), "twice: " + entry);
      if (entry.path("meta-type").asString().equals("command")) {
        commands.add(entry.path("name").asString());
      }
      collectUsed(entry, used);
    }
    assertTrue(defined.containsAll(used), "undefined: " + used);
    Set<String> expected = new HashSet<>();
    new QmpCommands().all().forEach(command -> expected.add(command.name()));
    assertEquals(expected, commands);
    for (QmpEventType event : QmpEventType.values()) {
      assertTrue(defined.contains(event.name()));
    }
  }

  private static void collectUsed(JsonNode entry, Set<String> used) {
    for (String key : List.of("arg-type", "ret-type", "element-type", "type")) {
      if (entry.has(key)) {
        used.add(entry.path(key).asString());
      }
    }
    List<JsonNode> inner = new ArrayList<>();
    entry.path("members").forEach(inner::add);
    entry.path("variants").forEach(inner::add);
    inner.forEach(member -> collectUsed(member, used));
  }

  private JsonNode send(String name, ObjectNode arguments) throws IOException {
    ObjectNode request = Json.object().put("execute", name);
    request.set("arguments", arguments);
    try (RawClient client = RawClient.negotiated(path)) {
      JsonNode answer = client.ask(Json.line(request));
      while (answer.has("event")) {
        answer = client.receive();
      }
      return answer;
    }
  }

  private static String error(JsonNode answer) {
    return answer.path("error").path("desc").asString("");
  }
}
