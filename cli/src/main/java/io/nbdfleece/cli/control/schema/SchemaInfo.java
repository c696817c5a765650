// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType.Alternate;
import io.nbdfleece.cli.control.schema.QmpType.ArrayOf;
import io.nbdfleece.cli.control.schema.QmpType.Builtin;
import io.nbdfleece.cli.control.schema.QmpType.Deferred;
import io.nbdfleece.cli.control.schema.QmpType.Enumeration;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Struct;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Writes types as QEMU's `query-qmp-schema` does: types that commands and events are made of have
/// numbers instead of names, because their names are no promise; integers are all `int`.
///
/// For one thread; [#finish] once.
public final class SchemaInfo {
  /// The types of the schema's own elements.
  public static final Struct SHAPE = SchemaInfoShape.TYPE;

  private final ArrayNode entries = Json.array();
  private final Map<String, String> shownNames = new HashMap<>();
  private final Map<String, QmpType> byName = new HashMap<>();
  private final Deque<QmpType> unwritten = new ArrayDeque<>();
  private int maskedCount;

  /// Adds a command.
  public SchemaInfo command(String name, Struct arguments, QmpType returns) {
    ObjectNode _ =
        entries
            .addObject()
            .put("name", name)
            .put("ret-type", use(returns))
            .put("meta-type", "command")
            .put("arg-type", use(arguments));
    return this;
  }

  /// Adds an event.
  public SchemaInfo event(String name, Struct data) {
    ObjectNode _ =
        entries.addObject().put("name", name).put("meta-type", "event").put("arg-type", use(data));
    return this;
  }

  /// What was added, and all types that it is made of.
  public ArrayNode finish() {
    while (!unwritten.isEmpty()) {
      write(unwritten.removeFirst());
    }
    return entries;
  }

  /// The name that it is shown under; it is written later, once.
  private String use(QmpType type) {
    return switch (type) {
      case Builtin builtin -> shown(shownName(builtin), builtin, false);
      case ArrayOf array -> shown("[" + use(array.element()) + "]", array, false);
      case Enumeration enumeration -> shown(enumeration.name(), enumeration, true);
      case Struct struct -> shown(struct.name(), struct, true);
      case Alternate alternate -> shown(alternate.name(), alternate, true);
      case Deferred deferred -> use(deferred.target().get());
    };
  }

  private String shown(String name, QmpType type, boolean isMasked) {
    String known = shownNames.get(name);
    if (known != null) {
      if (isMasked && !type.equals(byName.get(name))) {
        throw new IllegalArgumentException("two types are called " + name);
      }
      return known;
    }
    String shown = isMasked ? Integer.toString(maskedCount++) : name;
    shownNames.put(name, shown);
    byName.put(name, type);
    unwritten.add(type);
    return shown;
  }

  private static String shownName(Builtin type) {
    return switch (type) {
      case STRING -> "str";
      case BOOLEAN -> "bool";
      case INT64, UINT32, UINT64, SIZE -> "int";
      case NUMBER -> "number";
      case NULL -> "null";
      case ANY -> "any";
    };
  }

  private static String jsonType(Builtin type) {
    return switch (type) {
      case STRING -> "string";
      case BOOLEAN -> "boolean";
      case INT64, UINT32, UINT64, SIZE -> "int";
      case NUMBER -> "number";
      case NULL -> "null";
      case ANY -> "value";
    };
  }

  private void write(QmpType type) {
    ObjectNode entry = entries.addObject().put("name", use(type));
    switch (type) {
      case Builtin builtin -> entry.put("json-type", jsonType(builtin)).put("meta-type", "builtin");
      case ArrayOf array ->
          entry.put("element-type", use(array.element())).put("meta-type", "array");
      case Enumeration enumeration -> {
        ArrayNode members = entry.putArray("members");
        enumeration.values().forEach(value -> members.addObject().put("name", value));
        ArrayNode values = entry.putArray("values");
        enumeration.values().forEach(values::add);
        entry.put("meta-type", "enum");
      }
      case Struct struct -> write(entry, struct);
      case Alternate alternate -> {
        ArrayNode members = entry.putArray("members");
        alternate.choices().forEach(choice -> members.addObject().put("type", use(choice)));
        entry.put("meta-type", "alternate");
      }
      case Deferred _ -> throw new IllegalStateException("deferred types have no entry");
    }
  }

  private void write(ObjectNode entry, Struct struct) {
    if (struct.variants().isPresent()) {
      QmpType.Variants variants = struct.variants().get();
      entry.put("tag", variants.tag());
      ArrayNode cases = entry.putArray("variants");
      for (String value : tagValues(struct, variants.tag())) {
        Struct branch = variants.branches().getOrDefault(value, Struct.EMPTY);
        ObjectNode _ = cases.addObject().put("case", value).put("type", use(branch));
      }
    }
    ArrayNode members = entry.putArray("members");
    for (Member member : struct.members()) {
      ObjectNode shown = members.addObject().put("name", member.name());
      if (member.optional()) {
        shown.putNull("default");
      }
      shown.put("type", use(member.type()));
    }
    entry.put("meta-type", "object");
  }

  private static List<String> tagValues(Struct struct, String tag) {
    List<String> values = new ArrayList<>();
    for (Member member : struct.members()) {
      if (member.name().equals(tag) && member.type() instanceof Enumeration enumeration) {
        values.addAll(enumeration.values());
      }
    }
    return values;
  }
}
