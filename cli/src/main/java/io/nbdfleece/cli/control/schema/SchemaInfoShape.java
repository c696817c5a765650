// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.ANY;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType.ArrayOf;
import io.nbdfleece.cli.control.schema.QmpType.Enumeration;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Struct;
import io.nbdfleece.cli.control.schema.QmpType.Variants;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What an element of `query-qmp-schema` is made of (QEMU's `SchemaInfo`).
final class SchemaInfoShape {
  private static final Enumeration META_TYPE =
      new Enumeration(
          "SchemaMetaType",
          List.of("builtin", "enum", "array", "object", "alternate", "command", "event"));
  private static final Enumeration JSON_TYPE =
      new Enumeration(
          "JSONType",
          List.of("string", "number", "int", "boolean", "null", "object", "array", "value"));

  static final Struct TYPE =
      new Struct(
          "SchemaInfo",
          List.of(Member.of("name", STRING), Member.of("meta-type", META_TYPE)),
          Optional.of(
              new Variants(
                  "meta-type",
                  Map.of(
                      "builtin", struct("SchemaInfoBuiltin", Member.of("json-type", JSON_TYPE)),
                      "enum",
                          struct(
                              "SchemaInfoEnum",
                              Member.of(
                                  "members",
                                  new ArrayOf(
                                      struct("SchemaInfoEnumMember", Member.of("name", STRING)))),
                              Member.of("values", new ArrayOf(STRING))),
                      "array", struct("SchemaInfoArray", Member.of("element-type", STRING)),
                      "object", object(),
                      "alternate",
                          struct(
                              "SchemaInfoAlternate",
                              Member.of(
                                  "members",
                                  new ArrayOf(
                                      struct(
                                          "SchemaInfoAlternateMember",
                                          Member.of("type", STRING))))),
                      "command",
                          struct(
                              "SchemaInfoCommand",
                              Member.of("arg-type", STRING),
                              Member.of("ret-type", STRING)),
                      "event", struct("SchemaInfoEvent", Member.of("arg-type", STRING))))));

  private SchemaInfoShape() {}

  private static Struct object() {
    return struct(
        "SchemaInfoObject",
        Member.of(
            "members",
            new ArrayOf(
                struct(
                    "SchemaInfoObjectMember",
                    Member.of("name", STRING),
                    Member.of("type", STRING),
                    Member.optional("default", ANY)))),
        Member.optional("tag", STRING),
        Member.optional(
            "variants",
            new ArrayOf(
                struct(
                    "SchemaInfoObjectVariant",
                    Member.of("case", STRING),
                    Member.of("type", STRING)))));
  }

  private static Struct struct(String name, Member... members) {
    return new Struct(name, List.of(members));
  }
}
