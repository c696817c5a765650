// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A message that must come, as JSON with gaps:
///
/// - the string `"*"` is any value; `*` within a longer string any characters
/// - a member `"...": "..."` of an object lets it have more members than are named
/// - a first element `"..."` of an array: those named must be among its elements, in any order
/// - members `x-nbdfleece-…`, which clients of QEMU do not look at, need not be named
/// - the `timestamp` of an event need not be named: that it is there and is one is checked
final class JsonPattern {
  private static final String GAP = "...";
  private static final String EXTENSION = "x-nbdfleece-";

  private final JsonNode expected;

  private JsonPattern(JsonNode expected) {
    this.expected = expected;
  }

  static JsonPattern parse(String json) {
    return new JsonPattern(Command.parse(json));
  }

  /// What is wrong with the message; empty when nothing is.
  Optional<String> mismatch(JsonNode message) {
    if (expected.has("event") && !expected.has("timestamp")) {
      JsonNode timestamp = message.path("timestamp");
      if (!timestamp.path("seconds").isIntegralNumber()
          || !timestamp.path("microseconds").isIntegralNumber()) {
        return Optional.of("an event without a timestamp");
      }
      ObjectNode rest = ((ObjectNode) message).deepCopy();
      rest.remove("timestamp");
      return mismatch("", expected, rest);
    }
    return mismatch("", expected, message);
  }

  private static Optional<String> mismatch(String where, JsonNode expected, JsonNode actual) {
    if (expected.isString() && expected.asString().equals("*")) {
      return Optional.empty();
    }
    if (expected.isObject() && actual.isObject()) {
      return object(where, expected, actual);
    }
    if (expected.isArray() && actual.isArray()) {
      return array(where, expected, actual);
    }
    boolean equal =
        (expected.isString() && actual.isString())
            ? glob(expected.asString()).matcher(actual.asString()).matches()
            : expected.equals(actual);
    return equal ? Optional.empty() : Optional.of(where + ": " + actual + " is not " + expected);
  }

  private static Optional<String> object(String where, JsonNode expected, JsonNode actual) {
    for (Map.Entry<String, JsonNode> member : expected.properties()) {
      String name = member.getKey();
      if (name.equals(GAP)) {
        continue;
      }
      JsonNode value = actual.get(name);
      if (value == null) {
        return Optional.of(where + "." + name + " is missing");
      }
      Optional<String> wrong = mismatch(where + "." + name, member.getValue(), value);
      if (wrong.isPresent()) {
        return wrong;
      }
    }
    if (expected.has(GAP)) {
      return Optional.empty();
    }
    return actual.properties().stream()
        .filter(member -> !expected.has(member.getKey()))
        .filter(member -> !member.getKey().startsWith(EXTENSION))
        .findFirst()
        .map(member -> where + "." + member.getKey() + " is one too many");
  }

  private static Optional<String> array(String where, JsonNode expected, JsonNode actual) {
    List<JsonNode> wanted = expected.values().stream().toList();
    if (!wanted.isEmpty() && wanted.getFirst().isString() && gap(wanted.getFirst())) {
      return subsequence(where, wanted.subList(1, wanted.size()), actual);
    }
    if (wanted.size() != actual.size()) {
      return Optional.of(where + ": " + actual.size() + " elements, not " + wanted.size());
    }
    for (int i = 0; i < wanted.size(); i++) {
      Optional<String> wrong = mismatch(where + "[" + i + "]", wanted.get(i), actual.get(i));
      if (wrong.isPresent()) {
        return wrong;
      }
    }
    return Optional.empty();
  }

  private static boolean gap(JsonNode element) {
    return element.asString().equals(GAP);
  }

  // In any order: QEMU lists its nodes, bitmaps and exports from the youngest to the oldest.
  private static Optional<String> subsequence(
      String where, List<JsonNode> wanted, JsonNode actual) {
    for (JsonNode element : wanted) {
      Iterator<JsonNode> candidates = actual.values().iterator();
      String closest = "";
      boolean found = false;
      while (!found && candidates.hasNext()) {
        Optional<String> wrong = mismatch(where + "[]", element, candidates.next());
        found = wrong.isEmpty();
        closest += wrong.map(text -> "; " + text).orElse("");
      }
      if (!found) {
        return Optional.of(where + ": no element like " + element + closest);
      }
    }
    return Optional.empty();
  }

  private static Pattern glob(String text) {
    return Pattern.compile(
        Stream.of(text.split("\\*", -1)).map(Pattern::quote).collect(Collectors.joining(".*")),
        Pattern.DOTALL);
  }

  @Override
  public String toString() {
    return expected.toString();
  }
}
