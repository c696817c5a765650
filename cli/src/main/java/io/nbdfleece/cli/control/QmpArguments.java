// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.SchemaCheck;
import io.nbdfleece.cli.control.schema.SchemaMismatch;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The `arguments` of one command, or an object among them, of the type that the command declares.
/// The tag of a union is read as the string or enumeration that it is.
public final class QmpArguments {
  private final ObjectNode arguments;

  /// Fails, with QEMU's message, when they are not of the type.
  QmpArguments(ObjectNode arguments, QmpType.Struct type) throws QmpException {
    this(arguments);
    try {
      SchemaCheck.check(arguments, type);
    } catch (SchemaMismatch e) {
      throw new QmpException(e);
    }
  }

  private QmpArguments(ObjectNode arguments) {
    this.arguments = arguments;
  }

  /// A member that is an object.
  public Optional<QmpArguments> optionalObject(String name) throws QmpException {
    JsonNode value = arguments.get(name);
    return value == null ? Optional.empty() : Optional.of(object(name, value));
  }

  /// A member that is an object and must be there.
  public QmpArguments object(String name) throws QmpException {
    return optionalObject(name).orElseThrow(() -> missing(name));
  }

  /// The objects of an array; none when it is absent.
  public List<QmpArguments> objects(String name) throws QmpException {
    List<QmpArguments> objects = new ArrayList<>();
    for (JsonNode element : elements(name)) {
      objects.add(object(name + "[" + objects.size() + "]", element));
    }
    return objects;
  }

  /// The elements of an array as they stand, for alternates; none when it is absent.
  public List<JsonNode> elements(String name) throws QmpException {
    JsonNode value = arguments.get(name);
    if (value == null) {
      return List.of();
    }
    if (!value.isArray()) {
      throw wrongType(name, "array");
    }
    return value.valueStream().toList();
  }

  public Optional<Boolean> optionalBoolean(String name) throws QmpException {
    JsonNode value = arguments.get(name);
    if (value == null) {
      return Optional.empty();
    }
    if (!value.isBoolean()) {
      throw wrongType(name, "boolean");
    }
    return Optional.of(value.booleanValue());
  }

  /// A member as it stands.
  public Optional<JsonNode> raw(String name) {
    return Optional.ofNullable(arguments.get(name));
  }

  /// All of it, as it stands.
  public ObjectNode json() {
    return arguments;
  }

  public String string(String name) throws QmpException {
    return optionalString(name).orElseThrow(() -> missing(name));
  }

  public Optional<String> optionalString(String name) throws QmpException {
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
  public OptionalLong optionalInteger(String name, long min, long max) throws QmpException {
    JsonNode value = arguments.get(name);
    if (value == null) {
      return OptionalLong.empty();
    }
    if (!value.isIntegralNumber()) {
      throw wrongType(name, "integer");
    }
    if (!value.canConvertToLong() || value.longValue() < min || value.longValue() > max) {
      throw QmpException.usage(
          "Parameter '" + name + "' expects an integer from " + min + " to " + max);
    }
    return OptionalLong.of(value.longValue());
  }

  /// The strings of an array; none when it is absent.
  public List<String> strings(String name) throws QmpException {
    List<String> strings = new ArrayList<>();
    for (JsonNode element : elements(name)) {
      if (!element.isString()) {
        throw wrongType(name + "[" + strings.size() + "]", "string");
      }
      strings.add(element.stringValue());
    }
    return strings;
  }

  /// One of the constants, written as QMP writes them: `break-snapshot`.
  public <E extends Enum<E>> Optional<E> optionalEnum(String name, Class<E> type)
      throws QmpException {
    Optional<String> text = optionalString(name);
    if (text.isEmpty()) {
      return Optional.empty();
    }
    for (E constant : type.getEnumConstants()) {
      if (WireName.of(constant).equals(text.get())) {
        return Optional.of(constant);
      }
    }
    throw QmpException.usage("Parameter '" + name + "' does not accept value '" + text.get() + "'");
  }

  private static QmpArguments object(String name, JsonNode value) throws QmpException {
    if (!(value instanceof ObjectNode object)) {
      throw wrongType(name, "object");
    }
    return new QmpArguments(object);
  }

  private static QmpException missing(String name) {
    return QmpException.usage("Parameter '" + name + "' is missing");
  }

  private static QmpException wrongType(String name, String expected) {
    return QmpException.usage("Invalid parameter type for '" + name + "', expected: " + expected);
  }
}
