// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.Dialogue.Step;
import java.io.IOException;
import java.net.SocketException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/// Plays a dialogue to a program: every message must come as recorded, in that order, and none
/// besides. An event that nobody expects is a failure, too, unless it is one of our own. Whatever
/// is taken, returned or told must be as the program's `query-qmp-schema` has it.
final class DialoguePlayer {
  private static final String END = "end-of-dialogue";
  private static final String OWN_EVENTS = "X_NBDFLEECE_";

  private final Dialogue dialogue;
  private final Set<String> roles;
  private final Path directory;
  private final QmpSchema schema;
  private final List<String> heard = new ArrayList<>();

  /// Commands without an answer yet.
  private final Deque<JsonNode> asked = new ArrayDeque<>();

  private boolean anyEvents;

  private DialoguePlayer(Dialogue dialogue, Set<String> roles, Path directory, QmpSchema schema) {
    this.dialogue = dialogue;
    this.roles = roles;
    this.directory = directory;
    this.schema = schema;
  }

  /// Plays it to a fresh process of the peer.
  static void play(Dialogue dialogue, DialoguePeer peer, Path directory) throws IOException {
    for (Dialogue.Disk disk : dialogue.disks()) {
      Path _ = Images.sparse(directory.resolve(disk.name() + ".img"), disk.sizeBytes());
    }
    try (DialoguePeer.Running running = peer.start(directory, dialogue.served())) {
      QmpSchema schema;
      try (ControlSocket control = ControlSocket.connect(running.control())) {
        schema = QmpSchema.of(control);
      }
      try (ControlSocket control = ControlSocket.open(running.control())) {
        new DialoguePlayer(dialogue, peer.roles(), directory, schema).play(control);
      }
    }
  }

  private void play(ControlSocket control) throws IOException {
    if (!dialogue.raw()) {
      JsonNode _ = receive(control);
      control.send("{\"execute\": \"qmp_capabilities\"}");
      JsonNode _ = receive(control);
    }
    boolean open = true;
    for (Step step : dialogue.steps()) {
      if (step.isFor(roles)) {
        try {
          open &= play(step, control);
        } catch (AssertionError | IOException | RuntimeException e) {
          throw new AssertionError(
              dialogue.path() + ":" + step.line() + ": " + e + "\n" + String.join("\n", heard), e);
        }
      }
    }
    if (open) {
      asked.clear();
      control.send("{\"execute\": \"query-version\", \"id\": \"" + END + "\"}");
      JsonNode last = receive(control);
      while (anyEvents && last.has("event")) {
        last = receive(control);
      }
      if (!last.path("id").asString("").equals(END)) {
        throw new AssertionError(dialogue.path() + ": one message too many: " + last);
      }
    }
  }

  // Whether the connection is still there.
  private boolean play(Step step, ControlSocket control) throws IOException {
    String text = step.text().replace("${dir}", directory.toString());
    return switch (step.kind()) {
      case SEND -> {
        heard.add("-> " + text);
        asked.add(dialogue.raw() ? ControlSocket.object() : request(text));
        control.send(text);
        yield true;
      }
      case EXPECT -> {
        if (text.equals("closed")) {
          awaitEnd(control);
          yield false;
        }
        expect(JsonPattern.parse(text), control);
        yield true;
      }
      case ANY_EVENTS -> {
        anyEvents = true;
        yield true;
      }
      case GUEST -> {
        DialogueGuest.act(List.of(text.split("\\s+")));
        yield true;
      }
    };
  }

  private void expect(JsonPattern pattern, ControlSocket control) throws IOException {
    JsonNode message = receive(control);
    Optional<String> wrong = pattern.mismatch(message);
    while (wrong.isPresent() && anyEvents && message.has("event")) {
      message = receive(control);
      wrong = pattern.mismatch(message);
    }
    anyEvents = false;
    if (wrong.isPresent()) {
      throw new AssertionError(wrong.get() + "\n expected " + pattern + "\n but was  " + message);
    }
  }

  // A program that exits may reset the connection.
  private static void awaitEnd(ControlSocket control) throws IOException {
    try {
      Optional<JsonNode> message = control.receiveOrEnd();
      assertTrue(message.isEmpty(), () -> "still open: " + message);
    } catch (SocketException e) {
      assertEquals("Connection reset", e.getMessage());
    }
  }

  /// The next message that is no event of our own, which other programs' clients pass over.
  private JsonNode receive(ControlSocket control) throws IOException {
    JsonNode message;
    do {
      message = control.receive();
      heard.add("<- " + message);
      checkWithSchema(message);
    } while (message.path("event").asString("").startsWith(OWN_EVENTS));
    return message;
  }

  // What is no JSON by the book is not looked at.
  private static JsonNode request(String text) {
    try {
      return Command.parse(text);
    } catch (JacksonException _) {
      return ControlSocket.object();
    }
  }

  private void checkWithSchema(JsonNode message) {
    Optional<String> wrong = Optional.empty();
    if (message.has("event")) {
      JsonNode data = message.has("data") ? message.path("data") : ControlSocket.object();
      wrong = schema.wrongWithArguments(message.path("event").asString(), data);
    } else if (message.has("return") || message.has("error")) {
      JsonNode request = asked.isEmpty() ? ControlSocket.object() : asked.remove();
      String command = request.path("execute").asString("");
      if (message.has("return") && !command.isEmpty()) {
        JsonNode arguments =
            request.has("arguments") ? request.path("arguments") : ControlSocket.object();
        wrong =
            schema
                .wrongWithArguments(command, arguments)
                .or(() -> schema.wrongWithReturn(command, message.path("return")));
      }
    }
    wrong.ifPresent(
        what -> {
          throw new AssertionError("not as in the schema: " + what);
        });
  }
}
