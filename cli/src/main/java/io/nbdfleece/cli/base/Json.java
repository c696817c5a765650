// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.util.Map;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// JSON as the control socket and `--json` speak it.
public final class Json {
  /// Deepest nesting that is read.
  public static final int DEPTH_MAX = 32;

  // Immutable and safe for any thread. Single quotes because QEMU's parser takes them.
  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .enable(JsonReadFeature.ALLOW_SINGLE_QUOTES)
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxNestingDepth(DEPTH_MAX).build())
                  .build())
          .build();

  private static final Pattern PLACE = Pattern.compile(" ?\\(start marker at \\[[^\\]]*\\]\\)");

  private Json() {}

  /// Parses one document. Throws a `JacksonException` (unchecked) on bad syntax, duplicate keys and
  /// too deep nesting.
  public static JsonNode parse(byte[] json) {
    return MAPPER.readTree(json);
  }

  /// What is wrong with a document, without where in a stream that its sender never saw.
  public static String fault(JacksonException error) {
    return PLACE.matcher(error.getOriginalMessage()).replaceAll("");
  }

  /// One line, no line feed.
  public static String line(JsonNode node) {
    return MAPPER.writeValueAsString(node);
  }

  /// Indented, no line feed at the end.
  public static String pretty(JsonNode node) {
    return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(node);
  }

  public static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  public static ArrayNode array() {
    return JsonNodeFactory.instance.arrayNode();
  }

  /// The same document with `kebab-case` keys, which QMP uses, as `snake_case`, which `--json`
  /// uses, so that `jq` needs no quotes.
  public static JsonNode snakeCase(JsonNode node) {
    if (node instanceof ObjectNode object) {
      ObjectNode copy = object();
      for (Map.Entry<String, JsonNode> property : object.properties()) {
        copy.set(property.getKey().replace('-', '_'), snakeCase(property.getValue()));
      }
      return copy;
    }
    if (node instanceof ArrayNode array) {
      ArrayNode copy = array();
      array.forEach(element -> copy.add(snakeCase(element)));
      return copy;
    }
    return node;
  }
}
