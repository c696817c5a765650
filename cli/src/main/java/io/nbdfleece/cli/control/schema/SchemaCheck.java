// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import io.nbdfleece.cli.control.schema.QmpType.Alternate;
import io.nbdfleece.cli.control.schema.QmpType.ArrayOf;
import io.nbdfleece.cli.control.schema.QmpType.Builtin;
import io.nbdfleece.cli.control.schema.QmpType.Deferred;
import io.nbdfleece.cli.control.schema.QmpType.Enumeration;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Struct;
import java.math.BigInteger;
import java.util.HashMap;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Checks JSON against types, in the order and with the words of QEMU's input visitor.
///
/// One rule is stricter: QEMU takes a negative number for a 64-bit unsigned one; here it is
/// refused. The depth is bounded by that of the JSON, which its parser bounds.
public final class SchemaCheck {
  private static final long UINT32_MAX = 0xffff_ffffL;
  private static final BigInteger UINT64_MAX =
      BigInteger.ONE.shiftLeft(64).subtract(BigInteger.ONE);

  private SchemaCheck() {}

  /// Fails, naming the place, when `value` is not of `type`.
  public static void check(JsonNode value, QmpType type) throws SchemaMismatch {
    check(value, type, ValuePlace.TOP);
  }

  private static void check(JsonNode value, QmpType type, ValuePlace place) throws SchemaMismatch {
    switch (type) {
      case Builtin builtin -> checkBuiltin(value, builtin, place);
      case ArrayOf array -> checkArray(value, array, place);
      case Enumeration enumeration -> checkEnumeration(value, enumeration, place);
      case Struct struct -> checkStruct(value, struct, place);
      case Alternate alternate -> checkAlternate(value, alternate, place);
      case Deferred deferred -> check(value, deferred.target().get(), place);
    }
  }

  private static void checkBuiltin(JsonNode value, Builtin type, ValuePlace place)
      throws SchemaMismatch {
    switch (type) {
      case STRING -> require(value.isString(), place, "string");
      case BOOLEAN -> require(value.isBoolean(), place, "boolean");
      case INT64 -> require(value.isIntegralNumber() && value.canConvertToLong(), place, "integer");
      case UINT32 -> {
        requireUnsigned(value.isIntegralNumber() && value.canConvertToLong(), place);
        if (value.longValue() < 0 || value.longValue() > UINT32_MAX) {
          throw new SchemaMismatch("Parameter '" + place.name() + "' expects uint32_t");
        }
      }
      case UINT64, SIZE ->
          requireUnsigned(
              value.isIntegralNumber()
                  && value.bigIntegerValue().signum() >= 0
                  && value.bigIntegerValue().compareTo(UINT64_MAX) <= 0,
              place);
      case NUMBER -> require(value.isNumber(), place, "number");
      case NULL -> require(value.isNull(), place, "null");
      case ANY -> {}
    }
  }

  private static void checkArray(JsonNode value, ArrayOf type, ValuePlace place)
      throws SchemaMismatch {
    require(value.isArray(), place, "array");
    int index = 0;
    for (JsonNode element : value) {
      check(element, type.element(), place.element(index++));
    }
  }

  private static void checkEnumeration(JsonNode value, Enumeration type, ValuePlace place)
      throws SchemaMismatch {
    require(value.isString(), place, "string");
    if (!type.values().contains(value.stringValue())) {
      throw new SchemaMismatch(
          "Parameter '" + place.name() + "' does not accept value '" + value.stringValue() + "'");
    }
  }

  private static void checkStruct(JsonNode value, Struct type, ValuePlace place)
      throws SchemaMismatch {
    if (!(value instanceof ObjectNode object)) {
      throw wrongType(place, "object");
    }
    Map<String, QmpType> known = new HashMap<>();
    checkMembers(object, type, place, known);
    for (String name : object.propertyNames()) {
      if (!known.containsKey(name)) {
        throw new SchemaMismatch("Parameter '" + place.member(name).path() + "' is unexpected");
      }
    }
  }

  private static void checkMembers(
      ObjectNode object, Struct type, ValuePlace place, Map<String, QmpType> known)
      throws SchemaMismatch {
    for (Member member : type.members()) {
      known.put(member.name(), member.type());
      JsonNode value = object.get(member.name());
      if (value != null) {
        check(value, member.type(), place.member(member.name()));
      } else if (!member.optional()) {
        throw new SchemaMismatch(
            "Parameter '" + place.member(member.name()).path() + "' is missing");
      }
    }
    if (type.variants().isPresent()) {
      QmpType.Variants variants = type.variants().get();
      JsonNode tag = object.get(variants.tag());
      Struct branch = tag == null ? null : variants.branches().get(tag.stringValue());
      if (branch != null) {
        checkMembers(object, branch, place, known);
      }
    }
  }

  private static void checkAlternate(JsonNode value, Alternate type, ValuePlace place)
      throws SchemaMismatch {
    for (QmpType choice : type.choices()) {
      if (isOfJsonType(value, choice)) {
        check(value, choice, place);
        return;
      }
    }
    throw new SchemaMismatch(
        "Invalid parameter type for '" + place.name() + "', expected: " + type.name());
  }

  private static boolean isOfJsonType(JsonNode value, QmpType type) {
    return switch (type) {
      case Builtin builtin ->
          switch (builtin) {
            case STRING -> value.isString();
            case BOOLEAN -> value.isBoolean();
            case INT64, UINT32, UINT64, SIZE -> value.isIntegralNumber();
            case NUMBER -> value.isNumber();
            case NULL -> value.isNull();
            case ANY -> true;
          };
      case ArrayOf _ -> value.isArray();
      case Enumeration _ -> value.isString();
      case Struct _ -> value.isObject();
      case Alternate alternate ->
          alternate.choices().stream().anyMatch(choice -> isOfJsonType(value, choice));
      case Deferred deferred -> isOfJsonType(value, deferred.target().get());
    };
  }

  private static void require(boolean holds, ValuePlace place, String expected)
      throws SchemaMismatch {
    if (!holds) {
      throw wrongType(place, expected);
    }
  }

  private static void requireUnsigned(boolean holds, ValuePlace place) throws SchemaMismatch {
    if (!holds) {
      throw new SchemaMismatch("Parameter '" + place.path() + "' expects uint64");
    }
  }

  private static SchemaMismatch wrongType(ValuePlace place, String expected) {
    return new SchemaMismatch(
        "Invalid parameter type for '" + place.path() + "', expected: " + expected);
  }
}
