// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.BooleanNode;
import tools.jackson.databind.node.IntNode;
import tools.jackson.databind.node.NullNode;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.node.StringNode;

/// Values that are of a type.
final class JsonSamples {
  private JsonSamples() {}

  /// The objects of a type, one for each value of its tag.
  static List<ObjectNode> of(QmpType.Struct type, boolean withOptional) {
    if (type.variants().isEmpty()) {
      return List.of(object(type.members(), withOptional));
    }
    QmpType.Variants variants = type.variants().get();
    List<ObjectNode> samples = new ArrayList<>();
    for (String value : tagValues(type)) {
      ObjectNode sample = object(type.members(), withOptional);
      sample.put(variants.tag(), value);
      QmpType.Struct branch = variants.branches().getOrDefault(value, QmpType.Struct.EMPTY);
      sample.setAll(of(branch, withOptional).getFirst());
      samples.add(sample);
    }
    return samples;
  }

  /// The members that an object has when its tag has that value.
  static List<Member> members(QmpType.Struct type, ObjectNode sample) {
    List<Member> members = new ArrayList<>(type.members());
    type.variants()
        .ifPresent(
            variants ->
                members.addAll(
                    variants
                        .branches()
                        .getOrDefault(sample.path(variants.tag()).asString(), QmpType.Struct.EMPTY)
                        .members()));
    return members;
  }

  private static List<String> tagValues(QmpType.Struct type) {
    String tag = type.variants().orElseThrow().tag();
    return type.members().stream()
        .filter(member -> member.name().equals(tag))
        .flatMap(member -> ((QmpType.Enumeration) member.type()).values().stream())
        .toList();
  }

  private static ObjectNode object(List<Member> members, boolean withOptional) {
    ObjectNode object = Json.object();
    for (Member member : members) {
      if (withOptional || !member.optional()) {
        object.set(member.name(), value(member.type(), withOptional));
      }
    }
    return object;
  }

  private static JsonNode value(QmpType type, boolean withOptional) {
    return switch (type) {
      case QmpType.Builtin builtin ->
          switch (builtin) {
            case STRING -> StringNode.valueOf("vda");
            case BOOLEAN -> BooleanNode.FALSE;
            case INT64, UINT32, UINT64, SIZE, NUMBER -> IntNode.valueOf(4096);
            case NULL, ANY -> NullNode.getInstance();
          };
      case QmpType.ArrayOf array -> array(array.element(), withOptional);
      case QmpType.Enumeration enumeration -> StringNode.valueOf(enumeration.values().getFirst());
      case QmpType.Struct struct -> of(struct, withOptional).getFirst();
      case QmpType.Alternate alternate -> value(alternate.choices().getLast(), withOptional);
      case QmpType.Deferred deferred -> value(deferred.target().get(), withOptional);
    };
  }

  /// One of each kind.
  private static ArrayNode array(QmpType element, boolean withOptional) {
    ArrayNode array = Json.array();
    switch (element) {
      case QmpType.Struct struct -> of(struct, withOptional).forEach(array::add);
      case QmpType.Alternate alternate ->
          alternate.choices().forEach(choice -> array.add(value(choice, withOptional)));
      default -> array.add(value(element, withOptional));
    }
    return array;
  }
}
