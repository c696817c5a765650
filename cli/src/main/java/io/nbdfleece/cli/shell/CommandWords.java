// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import io.nbdfleece.cli.control.QmpException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/// What can be typed, as `query-commands` and `query-qmp-schema` tell. Immutable.
final class CommandWords {
  private static final int DEPTH_MAX = 4;

  private final Set<String> commands;
  private final Map<String, JsonNode> entities = new HashMap<>();
  private final Map<String, JsonNode> entitiesOfCommands = new HashMap<>();

  CommandWords(JsonNode commands, JsonNode schema) {
    this.commands = new TreeSet<>();
    commands.forEach(command -> this.commands.add(command.path("name").asString()));
    for (JsonNode entity : schema) {
      String name = entity.path("name").asString("");
      (entity.path("meta-type").asString("").equals("command") ? entitiesOfCommands : entities)
          .put(name, entity);
    }
  }

  /// Asks the server. One without a schema is served all the same.
  static CommandWords ask(QmpClient client) throws IOException {
    JsonNode commands = client.execute("query-commands", Json.object());
    try {
      return new CommandWords(commands, client.execute("query-qmp-schema", Json.object()));
    } catch (QmpException e) {
      return new CommandWords(commands, Json.array());
    }
  }

  /// How the last of these words could go on, each candidate a whole word.
  ///
  /// @param words of the line, the last one unfinished and perhaps empty
  List<String> candidates(List<String> words) {
    String last = words.getLast();
    Stream<String> all =
        words.size() == 1
            ? commands.stream()
            : arguments(words.getFirst(), last, words.subList(1, words.size() - 1)).stream();
    return all.filter(word -> word.startsWith(last)).sorted().toList();
  }

  private List<String> arguments(String command, String word, List<String> given) {
    JsonNode entity = entitiesOfCommands.get(command);
    if (entity == null) {
      return List.of();
    }
    Set<String> givenNames =
        given.stream().map(w -> w.split("=", 2)[0]).collect(Collectors.toSet());
    List<String> candidates = new ArrayList<>();
    collect(entity.path("arg-type").asString(""), "", word, givenNames, 0, candidates);
    return candidates;
  }

  private void collect(
      String type,
      String prefix,
      String word,
      Set<String> given,
      int depth,
      List<String> candidates) {
    for (JsonNode member : entities.getOrDefault(type, Json.object()).path("members")) {
      String name = prefix + member.path("name").asString();
      String memberType = member.path("type").asString("");
      String kind = entities.getOrDefault(memberType, Json.object()).path("meta-type").asString("");
      if (word.startsWith(name + "=")) {
        values(memberType, kind).forEach(value -> candidates.add(name + "=" + value));
      } else if (kind.equals("object") && word.startsWith(name + ".") && depth < DEPTH_MAX) {
        collect(memberType, name + ".", word, given, depth + 1, candidates);
      } else if (!given.contains(name)) {
        candidates.add(name + (kind.equals("object") ? "." : "="));
      }
    }
  }

  private List<String> values(String type, String kind) {
    if (type.equals("bool")) {
      return List.of("true", "false");
    }
    List<String> values = new ArrayList<>();
    if (kind.equals("enum")) {
      JsonNode entity = entities.getOrDefault(type, Json.object());
      entity.path("values").forEach(value -> values.add(value.asString()));
      if (values.isEmpty()) {
        entity.path("members").forEach(member -> values.add(member.path("name").asString()));
      }
    }
    return values;
  }
}
