// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.Dialogue.Step;
import java.io.IOException;
import java.net.SocketException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/// Plays a dialogue to a program: every message must come as recorded, in that order, and none
/// besides. An event that nobody expects is a failure, too, unless it is one of our own.
final class DialoguePlayer {
  private static final String END = "end-of-dialogue";
  private static final String OWN_EVENTS = "X_NBDFLEECE_";

  private final Dialogue dialogue;
  private final Set<String> roles;
  private final Path directory;
  private final List<String> heard = new ArrayList<>();
  private boolean anyEvents;

  private DialoguePlayer(Dialogue dialogue, Set<String> roles, Path directory) {
    this.dialogue = dialogue;
    this.roles = roles;
    this.directory = directory;
  }

  /// Plays it to a fresh process of the peer.
  static void play(Dialogue dialogue, DialoguePeer peer, Path directory) throws IOException {
    for (Dialogue.Disk disk : dialogue.disks()) {
      Path _ = Images.sparse(directory.resolve(disk.name() + ".img"), disk.sizeBytes());
    }
    try (DialoguePeer.Running running = peer.start(directory, dialogue.served());
        ControlSocket control = ControlSocket.open(running.control())) {
      new DialoguePlayer(dialogue, peer.roles(), directory).play(control);
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
    } while (message.path("event").asString("").startsWith(OWN_EVENTS));
    return message;
  }
}
