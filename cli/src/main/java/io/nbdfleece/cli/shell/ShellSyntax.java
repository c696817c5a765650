// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Reads commands as qmp-shell has them, and JSON. Used by one thread.
///
/// ```
///   block-dirty-bitmap-add node=vda name=b0 granularity=65536
///   nbd-server-start addr.type=unix addr.data.path=/tmp/s     # members of members
///   block-dirty-bitmap-merge node=vda target=a bitmaps=["b0", {"node": "vdb", "name": "b1"}]
///   {"execute": "query-status"}
///   transaction(                                              # one action a line, until )
///     block-dirty-bitmap-clear node=vda name=b0
///     fleecing-start disks=["vda"] )
/// ```
///
/// A value is a number, `true`, `false`, `null`, JSON in brackets or quotes, else a string.
final class ShellSyntax {
  private static final String BEGIN = "transaction(";

  private Optional<ArrayNode> actions = Optional.empty();

  /// Whether a transaction has begun and not ended.
  boolean isInTransaction() {
    return actions.isPresent();
  }

  /// Forgets a transaction that has begun.
  void reset() {
    actions = Optional.empty();
  }

  /// Takes a line; the request that it completes, if it does.
  Optional<ObjectNode> line(String line) throws CommandFailure {
    String text = line.strip();
    if (text.isEmpty() || text.startsWith("#")) {
      return Optional.empty();
    }
    if (actions.isEmpty() && text.startsWith("{")) {
      return Optional.of(json(text));
    }
    if (actions.isEmpty() && text.startsWith(BEGIN)) {
      actions = Optional.of(Json.array());
      text = text.substring(BEGIN.length()).strip();
    }
    if (actions.isEmpty()) {
      return Optional.of(request(split(text)));
    }
    boolean ends = text.endsWith(")");
    String action = ends ? text.substring(0, text.length() - 1).strip() : text;
    if (!action.isEmpty()) {
      actions.get().add(action(split(action)));
    }
    return ends ? Optional.of(transaction()) : Optional.empty();
  }

  /// A command whose words somebody else has cut apart, a shell for example.
  static ObjectNode words(List<String> words) throws CommandFailure {
    String first = words.getFirst();
    if (first.isBlank()) {
      throw wrong("the command is empty: give NAME ARGUMENT=VALUE …, or nothing for a shell");
    }
    if (words.size() > 1 && !first.startsWith(BEGIN)) {
      return request(words);
    }
    ShellSyntax syntax = new ShellSyntax();
    return syntax
        .line(String.join(" ", words))
        .orElseThrow(() -> wrong("the command is not complete: " + String.join(" ", words)));
  }

  private ObjectNode transaction() {
    ObjectNode arguments = Json.object();
    arguments.set("actions", actions.orElseThrow());
    actions = Optional.empty();
    ObjectNode request = Json.object().put("execute", "transaction");
    request.set("arguments", arguments);
    return request;
  }

  private static ObjectNode request(List<String> words) throws CommandFailure {
    ObjectNode request = Json.object().put("execute", words.getFirst());
    ObjectNode arguments = arguments(words);
    if (!arguments.isEmpty()) {
      request.set("arguments", arguments);
    }
    return request;
  }

  private static ObjectNode action(List<String> words) throws CommandFailure {
    ObjectNode action = Json.object().put("type", words.getFirst());
    action.set("data", arguments(words));
    return action;
  }

  private static ObjectNode arguments(List<String> words) throws CommandFailure {
    ObjectNode arguments = Json.object();
    for (String word : words.subList(1, words.size())) {
      int equals = word.indexOf('=');
      if (equals < 1) {
        throw wrong("argument " + word + ": give NAME=VALUE");
      }
      String[] path = word.substring(0, equals).split("\\.", -1);
      ObjectNode place = arguments;
      for (int i = 0; i < path.length - 1; i++) {
        JsonNode inner = place.get(path[i]);
        if (inner != null && !(inner instanceof ObjectNode)) {
          throw wrong("argument " + word + ": " + path[i] + " is given already, as a value");
        }
        place = inner instanceof ObjectNode object ? object : place.putObject(path[i]);
      }
      String last = path[path.length - 1];
      if (place.has(last)) {
        throw wrong("argument " + word + ": is given twice");
      }
      place.set(last, value(word.substring(equals + 1)));
    }
    return arguments;
  }

  private static JsonNode value(String text) throws CommandFailure {
    boolean json =
        text.matches("true|false|null|-?(0|[1-9]\\d{0,18})(\\.\\d+)?")
            || text.matches("[\\[{\"'].*");
    if (!json) {
      return Json.object().put("v", text).path("v");
    }
    try {
      return Json.parse(text.getBytes(UTF_8));
    } catch (JacksonException e) {
      throw wrong("value " + text + ": " + Json.fault(e));
    }
  }

  private static ObjectNode json(String text) throws CommandFailure {
    try {
      if (Json.parse(text.getBytes(UTF_8)) instanceof ObjectNode request) {
        return request;
      }
      throw wrong("a command in JSON is an object: {\"execute\": …}");
    } catch (JacksonException e) {
      throw wrong("JSON: " + Json.fault(e));
    }
  }

  /// Cuts at white space outside of quotes and brackets.
  static List<String> split(String text) throws CommandFailure {
    List<String> words = new ArrayList<>();
    StringBuilder word = new StringBuilder();
    int depth = 0;
    char quote = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (quote != 0) {
        word.append(c);
        if (c == '\\' && i + 1 < text.length()) {
          word.append(text.charAt(++i));
        } else if (c == quote) {
          quote = 0;
        }
      } else if (Character.isWhitespace(c) && depth == 0) {
        add(words, word);
      } else {
        word.append(c);
        switch (c) {
          case '"', '\'' -> quote = c;
          case '[', '{' -> depth++;
          case ']', '}' -> depth--;
          default -> {}
        }
      }
    }
    if (quote != 0 || depth > 0) {
      throw wrong((quote != 0 ? "quote " + quote : "bracket") + " is not closed: " + word);
    }
    add(words, word);
    return words;
  }

  private static void add(List<String> words, StringBuilder word) {
    if (!word.isEmpty()) {
      words.add(word.toString());
      word.setLength(0);
    }
  }

  private static CommandFailure wrong(String message) {
    return new CommandFailure(ExitCode.USAGE, message);
  }
}
