// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The `arguments` of one command, read with QEMU's error texts.
final class QmpArguments {
  private final ObjectNode arguments;

  /// Fails when there is an argument that the command does not know.
  QmpArguments(ObjectNode arguments, QmpType.Struct type) throws QmpException {
    this.arguments = arguments;
    Set<String> known = QmpOptions.names(type);
    for (String name : arguments.propertyNames()) {
      if (!known.contains(name)) {
        throw QmpException.generic("Parameter '" + name + "' is unexpected");
      }
    }
  }

  /// A member that is an object.
  Optional<QmpArguments> optionalObject(String name) throws QmpException {
    throw new UnsupportedOperationException(name);
  }

  /// The objects of an array; none when it is absent.
  List<QmpArguments> objects(String name) throws QmpException {
    throw new UnsupportedOperationException(name);
  }

  Optional<Boolean> optionalBoolean(String name) throws QmpException {
    throw new UnsupportedOperationException(name);
  }

  /// A member as it stands.
  Optional<JsonNode> raw(String name) {
    return Optional.ofNullable(arguments.get(name));
  }

  String string(String name) throws QmpException {
    return optionalString(name)
        .orElseThrow(() -> QmpException.generic("Parameter '" + name + "' is missing"));
  }

  Optional<String> optionalString(String name) throws QmpException {
    JsonNode value = arguments.get(name);
    if (value == null) {
      return Optional.empty();
    }
    if (!value.isString()) {
      throw wrongType(name, "string");
    }
    return Optional.of(value.stringValue());
  }

  /// @param min smallest value allowed
  /// @param max largest value allowed
  OptionalLong optionalInteger(String name, long min, long max) throws QmpException {
    JsonNode value = arguments.get(name);
    if (value == null) {
      return OptionalLong.empty();
    }
    if (!value.isIntegralNumber()) {
      throw wrongType(name, "integer");
    }
    if (!value.canConvertToLong() || value.longValue() < min || value.longValue() > max) {
      throw QmpException.generic(
          "Parameter '" + name + "' expects an integer from " + min + " to " + max);
    }
    return OptionalLong.of(value.longValue());
  }

  /// The strings of an array; none when it is absent.
  List<String> strings(String name) throws QmpException {
    JsonNode value = arguments.get(name);
    if (value == null) {
      return List.of();
    }
    if (!value.isArray()) {
      throw wrongType(name, "array");
    }
    List<String> strings = new ArrayList<>();
    for (JsonNode element : value) {
      if (!element.isString()) {
        throw wrongType(name + "[" + strings.size() + "]", "string");
      }
      strings.add(element.stringValue());
    }
    return strings;
  }

  /// One of the constants, written as QMP writes them: `break-snapshot`.
  <E extends Enum<E>> Optional<E> optionalEnum(String name, Class<E> type) throws QmpException {
    Optional<String> text = optionalString(name);
    if (text.isEmpty()) {
      return Optional.empty();
    }
    for (E constant : type.getEnumConstants()) {
      if (WireName.of(constant).equals(text.get())) {
        return Optional.of(constant);
      }
    }
    throw QmpException.generic(
        "Parameter '" + name + "' does not accept value '" + text.get() + "'");
  }

  private static QmpException wrongType(String name, String expected) {
    return QmpException.generic("Invalid parameter type for '" + name + "', expected: " + expected);
  }
}
