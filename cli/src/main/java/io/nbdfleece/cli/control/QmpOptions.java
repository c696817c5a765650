// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// An object inside of a command's arguments whose members depend on one of them, read with QEMU's
/// error texts, which give the path of a member: `file.filename`.
final class QmpOptions {
  private final ObjectNode object;
  private final String prefix;

  private QmpOptions(ObjectNode object, String prefix) {
    this.object = object;
    this.prefix = prefix;
  }

  /// @param prefix path of the object, with its dot; empty for the arguments themselves
  static QmpOptions of(JsonNode node, String prefix) throws QmpException {
    if (node instanceof ObjectNode object) {
      return new QmpOptions(object, prefix);
    }
    String name = prefix.isEmpty() ? "arguments" : prefix.substring(0, prefix.length() - 1);
    throw wrongType(name, "object");
  }

  /// The arguments of a command, all that its type knows.
  static QmpOptions of(QmpArguments arguments, QmpType.Struct type) {
    ObjectNode all = Json.object();
    for (String name : names(type)) {
      arguments.raw(name).ifPresent(value -> all.set(name, value));
    }
    return new QmpOptions(all, "");
  }

  /// The names of all members that values of the type may have.
  static Set<String> names(QmpType.Struct type) {
    Set<String> names = new HashSet<>();
    type.members().forEach(member -> names.add(member.name()));
    type.variants()
        .ifPresent(
            variants ->
                variants.branches().values().forEach(branch -> names.addAll(names(branch))));
    return names;
  }

  /// Refuses members that the type does not know, given the value of its tag.
  void requireKnown(QmpType.Struct type) throws QmpException {
    Set<String> known = new HashSet<>();
    type.members().forEach(member -> known.add(member.name()));
    if (type.variants().isPresent()) {
      QmpType.Variants variants = type.variants().get();
      QmpType.Struct branch = variants.branches().get(string(variants.tag()));
      if (branch == null) {
        throw notAccepted(variants.tag());
      }
      branch.members().forEach(member -> known.add(member.name()));
    }
    for (String name : object.propertyNames()) {
      if (!known.contains(name)) {
        throw QmpException.usage("Parameter '" + prefix + name + "' is unexpected");
      }
    }
  }

  /// That the value is none of those allowed.
  QmpException notAccepted(String name) {
    return QmpException.usage(
        "Parameter '"
            + prefix
            + name
            + "' does not accept value '"
            + object.path(name).asString("")
            + "'");
  }

  Optional<JsonNode> raw(String name) {
    return Optional.ofNullable(object.get(name));
  }

  String path(String name) {
    return prefix + name;
  }

  private QmpException missing(String name) {
    return QmpException.usage("Parameter '" + prefix + name + "' is missing");
  }

  static QmpException wrongType(String path, String expected) {
    return QmpException.usage("Invalid parameter type for '" + path + "', expected: " + expected);
  }

  JsonNode required(String name) throws QmpException {
    return raw(name).orElseThrow(() -> missing(name));
  }

  String string(String name) throws QmpException {
    return optionalString(name).orElseThrow(() -> missing(name));
  }

  Optional<String> optionalString(String name) throws QmpException {
    JsonNode value = object.get(name);
    if (value == null) {
      return Optional.empty();
    }
    if (!value.isString()) {
      throw wrongType(prefix + name, "string");
    }
    return Optional.of(value.stringValue());
  }

  Optional<Boolean> optionalBoolean(String name) throws QmpException {
    JsonNode value = object.get(name);
    if (value == null) {
      return Optional.empty();
    }
    if (!value.isBoolean()) {
      throw wrongType(prefix + name, "boolean");
    }
    return Optional.of(value.booleanValue());
  }

  /// A number from 0 to `max`.
  long unsigned(String name, long max, long otherwise) throws QmpException {
    JsonNode value = object.get(name);
    if (value == null) {
      return otherwise;
    }
    if (!value.isIntegralNumber()) {
      throw wrongType(prefix + name, "integer");
    }
    if (!value.canConvertToLong() || value.longValue() < 0 || value.longValue() > max) {
      throw QmpException.usage(
          "Parameter '" + prefix + name + "' expects an integer from 0 to " + max);
    }
    return value.longValue();
  }

  /// One of some strings, if it is there.
  Optional<String> choice(String name, List<String> values) throws QmpException {
    Optional<String> value = optionalString(name);
    if (value.isPresent() && !values.contains(value.get())) {
      throw notAccepted(name);
    }
    return value;
  }

  QmpOptions object(String name) throws QmpException {
    return of(required(name), prefix + name + ".");
  }

  Optional<QmpOptions> optionalObject(String name) throws QmpException {
    return object.has(name) ? Optional.of(object(name)) : Optional.empty();
  }

  /// The objects of an array.
  List<QmpOptions> objects(String name) throws QmpException {
    JsonNode array = required(name);
    if (!array.isArray()) {
      throw wrongType(prefix + name, "array");
    }
    List<QmpOptions> objects = new ArrayList<>();
    for (JsonNode element : array) {
      objects.add(of(element, prefix + name + "[" + objects.size() + "]."));
    }
    return objects;
  }
}
