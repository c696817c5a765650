// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.ANY;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType.Alternate;
import io.nbdfleece.cli.control.schema.QmpType.ArrayOf;
import io.nbdfleece.cli.control.schema.QmpType.Enumeration;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Struct;
import io.nbdfleece.cli.control.schema.QmpType.Variants;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.node.ArrayNode;

final class SchemaInfoTest {
  private static final Struct POINT =
      new Struct("Point", List.of(Member.of("x", SIZE), Member.optional("y", SIZE)));
  private static final Struct SHAPE =
      new Struct(
          "Shape",
          List.of(Member.of("kind", new Enumeration("Kind", List.of("dot", "none")))),
          Optional.of(new Variants("kind", Map.of("dot", POINT))));

  @Test
  void typesAreWrittenAsQemuWritesThem() {
    ArrayNode schema =
        new SchemaInfo()
            .command("draw", SHAPE, new ArrayOf(POINT))
            .event("DRAWN", new Struct("Drawn", List.of(Member.of("what", either()))))
            .finish();
    assertEquals(
        json(
            "[{'name':'draw','ret-type':'[0]','meta-type':'command','arg-type':'1'},"
                + "{'name':'DRAWN','meta-type':'event','arg-type':'2'},"
                + "{'name':'0','members':[{'name':'x','type':'int'},"
                + "{'name':'y','default':null,'type':'int'}],'meta-type':'object'},"
                + "{'name':'[0]','element-type':'0','meta-type':'array'},"
                + "{'name':'1','tag':'kind','variants':[{'case':'dot','type':'0'},"
                + "{'case':'none','type':'3'}],'members':[{'name':'kind','type':'4'}],"
                + "'meta-type':'object'},"
                + "{'name':'2','members':[{'name':'what','type':'5'}],'meta-type':'object'},"
                + "{'name':'int','json-type':'int','meta-type':'builtin'},"
                + "{'name':'3','members':[],'meta-type':'object'},"
                + "{'name':'4','members':[{'name':'dot'},{'name':'none'}],"
                + "'values':['dot','none'],'meta-type':'enum'},"
                + "{'name':'5','members':[{'type':'str'},{'type':'any'}],"
                + "'meta-type':'alternate'},"
                + "{'name':'str','json-type':'string','meta-type':'builtin'},"
                + "{'name':'any','json-type':'value','meta-type':'builtin'}]"),
        schema);
  }

  @Test
  void theSchemaOfTheSchemaFitsItself() {
    ArrayNode schema =
        new SchemaInfo()
            .command("query-qmp-schema", Struct.EMPTY, new ArrayOf(SchemaInfo.SHAPE))
            .finish();
    assertDoesNotThrow(() -> SchemaCheck.check(schema, new ArrayOf(SchemaInfo.SHAPE)));
  }

  @Test
  void twoTypesOfOneNameAreRefused() {
    SchemaInfo schema = new SchemaInfo().command("a", POINT, Struct.EMPTY);
    Struct other = new Struct("Point", List.of());
    assertThrows(IllegalArgumentException.class, () -> schema.command("b", other, Struct.EMPTY));
  }

  private static Alternate either() {
    return new Alternate("Either", List.of(STRING, ANY));
  }

  private static ArrayNode json(String text) {
    return (ArrayNode) Json.parse(text.getBytes(UTF_8));
  }
}
