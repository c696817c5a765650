// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/// What a program says of itself in `query-qmp-schema`, read as QEMU's documentation of
/// introspection says (docs/devel/qapi-code-gen.rst, "Client JSON Protocol introspection").
final class QmpSchema {
  private final Map<String, JsonNode> entries = new LinkedHashMap<>();

  private QmpSchema(JsonNode answer) {
    for (JsonNode entry : answer) {
      JsonNode _ = entries.put(entry.path("name").asString(), entry);
    }
  }

  static QmpSchema of(ControlSocket control) throws IOException {
    return new QmpSchema(control.execute("query-qmp-schema", ControlSocket.object()));
  }

  /// Commands and events.
  Set<String> named() {
    return entries.values().stream()
        .filter(entry -> Set.of("command", "event").contains(kind(entry)))
        .map(entry -> entry.path("name").asString())
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /// What is wrong with the arguments of a command or the data of an event.
  Optional<String> wrongWithArguments(String name, JsonNode value) {
    return wrongWith("arg-type", name, value);
  }

  /// What is wrong with what a command returned.
  Optional<String> wrongWithReturn(String name, JsonNode value) {
    return wrongWith("ret-type", name, value);
  }

  private Optional<String> wrongWith(String which, String name, JsonNode value) {
    JsonNode entry = entries.get(name);
    return entry == null
        ? Optional.of("schema: no " + name)
        : mismatch(name, entry.path(which).asString(), value);
  }

  private Optional<String> mismatch(String where, String type, JsonNode value) {
    JsonNode entry = entry(type);
    return switch (kind(entry)) {
      case "builtin" -> is(where, value, jsonType(entry).equals("value") || fits(entry, value));
      case "enum" -> is(where, value, values(entry).contains(value.asString("")));
      case "array" -> elements(where, entry.path("element-type").asString(), value);
      case "object" -> object(where, entry, value);
      case "alternate" ->
          is(where, value, members(entry).values().stream().anyMatch(each -> takes(each, value)));
      default -> Optional.of(where + ": type " + entry);
    };
  }

  private boolean takes(JsonNode member, JsonNode value) {
    return mismatch("", member.path("type").asString(), value).isEmpty();
  }

  private static Optional<String> is(String where, JsonNode value, boolean fits) {
    return fits ? Optional.empty() : Optional.of(where + ": " + value);
  }

  private static boolean fits(JsonNode builtin, JsonNode value) {
    return switch (jsonType(builtin)) {
      case "string" -> value.isString();
      case "number" -> value.isNumber();
      case "int" -> value.isIntegralNumber();
      case "boolean" -> value.isBoolean();
      case "null" -> value.isNull();
      default -> false;
    };
  }

  private Optional<String> elements(String where, String type, JsonNode value) {
    if (!value.isArray()) {
      return Optional.of(where + ": no array: " + value);
    }
    return value.values().stream()
        .flatMap(element -> mismatch(where + "[]", type, element).stream())
        .findFirst();
  }

  private Optional<String> object(String where, JsonNode type, JsonNode value) {
    if (!value.isObject()) {
      return Optional.of(where + ": no object: " + value);
    }
    Map<String, JsonNode> members = membersWithVariant(type, value);
    for (String name : value.propertyNames()) {
      JsonNode member = members.get(name);
      Optional<String> wrong =
          member == null
              ? Optional.of(where + "." + name + ": is in no schema")
              : mismatch(where + "." + name, member.path("type").asString(), value.path(name));
      if (wrong.isPresent()) {
        return wrong;
      }
    }
    return members.values().stream()
        .filter(member -> !member.has("default"))
        .map(member -> member.path("name").asString())
        .filter(name -> !value.has(name))
        .map(name -> where + "." + name + ": missing")
        .findFirst();
  }

  // With those of the variant that the value of the tag chooses, and so on.
  private Map<String, JsonNode> membersWithVariant(JsonNode type, JsonNode value) {
    Map<String, JsonNode> members = members(type);
    String chosen = value.path(type.path("tag").asString("")).asString("");
    variants(type).entrySet().stream()
        .filter(variant -> variant.getKey().equals(chosen))
        .forEach(variant -> members.putAll(membersWithVariant(entry(variant.getValue()), value)));
    return members;
  }

  /// What is here that a client of the other program would not expect, in the arguments and returns
  /// of what both have: unknown members, other types, mandatory here and optional there. What is
  /// there and not here is missing, but no surprise.
  Set<String> unlike(QmpSchema other) {
    Set<String> found = new TreeSet<>();
    Set<String> seen = new TreeSet<>();
    Set<String> both = named();
    both.retainAll(other.named());
    for (String name : both) {
      for (String which : List.of("arg-type", "ret-type")) {
        if (entry(name).has(which)) {
          String where = which.equals("arg-type") ? name : name + " returns";
          String here = entry(name).path(which).asString();
          compare(where, here, other, other.entry(name).path(which).asString(), found, seen);
        }
      }
    }
    return found;
  }

  private void compare(
      String where,
      String type,
      QmpSchema other,
      String otherType,
      Set<String> found,
      Set<String> seen) {
    if (!seen.add(type + " " + otherType)) {
      return;
    }
    JsonNode mine = entry(type);
    JsonNode theirs = other.entry(otherType);
    if (!kind(mine).equals(kind(theirs)) || !jsonType(mine).equals(jsonType(theirs))) {
      found.add(where + ": " + kind(mine) + jsonType(mine) + ", there " + kind(theirs));
      return;
    }
    switch (kind(mine)) {
      case "enum" -> {
        Set<String> values = values(mine);
        values.removeAll(other.values(theirs));
        values.forEach(value -> found.add(where + ": " + value));
      }
      case "array" ->
          compare(
              where + "[]",
              mine.path("element-type").asString(),
              other,
              theirs.path("element-type").asString(),
              found,
              seen);
      case "object" -> compareMembers(where, mine, other, theirs, found, seen);
      case "alternate" -> compareAlternate(where, mine, other, theirs, found, seen);
      default -> {}
    }
  }

  private void compareMembers(
      String where,
      JsonNode mine,
      QmpSchema other,
      JsonNode theirs,
      Set<String> found,
      Set<String> seen) {
    Map<String, JsonNode> there = members(theirs);
    Map<String, JsonNode> here = members(mine);
    here.forEach(
        (name, member) -> {
          JsonNode same = there.get(name);
          String path = where + "." + name;
          if (same == null) {
            found.add(path);
          } else {
            if (member.has("default") != same.has("default")) {
              found.add(path + ": optional here or there only");
            }
            String otherType = same.path("type").asString();
            compare(path, member.path("type").asString(), other, otherType, found, seen);
          }
        });
    there.forEach(
        (name, member) -> {
          if (!member.has("default") && !here.containsKey(name)) {
            found.add(where + "." + name + ": mandatory there");
          }
        });
    Map<String, String> cases = variants(theirs);
    variants(mine)
        .forEach(
            (name, type) -> {
              if (cases.containsKey(name)) {
                String otherType = Objects.requireNonNull(cases.get(name));
                compare(where + "<" + name + ">", type, other, otherType, found, seen);
              }
            });
  }

  private void compareAlternate(
      String where,
      JsonNode mine,
      QmpSchema other,
      JsonNode theirs,
      Set<String> found,
      Set<String> seen) {
    Map<String, String> there = other.alternatives(theirs);
    alternatives(mine)
        .forEach(
            (kind, type) -> {
              String otherType = there.get(kind);
              if (otherType == null) {
                found.add(where + ": " + kind);
              } else {
                compare(where, type, other, otherType, found, seen);
              }
            });
  }

  // By what they are in JSON.
  private Map<String, String> alternatives(JsonNode alternate) {
    Map<String, String> found = new HashMap<>();
    for (JsonNode member : alternate.path("members")) {
      String type = member.path("type").asString();
      String _ = found.put(kind(entry(type)), type);
    }
    return found;
  }

  private Map<String, JsonNode> members(JsonNode type) {
    Map<String, JsonNode> members = new LinkedHashMap<>();
    for (JsonNode member : type.path("members")) {
      JsonNode _ =
          members.put(member.path("name").asString(member.path("type").asString()), member);
    }
    return members;
  }

  private static Map<String, String> variants(JsonNode type) {
    Map<String, String> variants = new LinkedHashMap<>();
    for (JsonNode variant : type.path("variants")) {
      String _ = variants.put(variant.path("case").asString(), variant.path("type").asString());
    }
    return variants;
  }

  private Set<String> values(JsonNode enumeration) {
    return new TreeSet<>(members(enumeration).keySet());
  }

  private JsonNode entry(String type) {
    JsonNode entry = entries.get(type);
    if (entry == null) {
      throw new AssertionError("schema: type " + type + " is not defined");
    }
    return entry;
  }

  private static String kind(JsonNode entry) {
    return entry.path("meta-type").asString("");
  }

  private static String jsonType(JsonNode entry) {
    return entry.path("json-type").asString("");
  }
}
