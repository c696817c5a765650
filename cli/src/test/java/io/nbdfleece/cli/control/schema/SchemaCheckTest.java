// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.ANY;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.NULL;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.NUMBER;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT64;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType.Alternate;
import io.nbdfleece.cli.control.schema.QmpType.ArrayOf;
import io.nbdfleece.cli.control.schema.QmpType.Deferred;
import io.nbdfleece.cli.control.schema.QmpType.Enumeration;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Struct;
import io.nbdfleece.cli.control.schema.QmpType.Variants;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The messages are those that QEMU 10.0 and 7.2 give for the same input.
final class SchemaCheckTest {
  private static final Struct BITMAP =
      new Struct("Bitmap", List.of(Member.of("node", STRING), Member.of("name", STRING)));
  private static final Enumeration KIND = new Enumeration("Kind", List.of("add", "abort", "stop"));
  private static final Struct ACTION =
      new Struct(
          "Action",
          List.of(Member.of("type", KIND)),
          Optional.of(
              new Variants(
                  "type",
                  Map.of(
                      "add", new Struct("AddWrapper", List.of(Member.of("data", BITMAP))),
                      "abort",
                          new Struct("AbortWrapper", List.of(Member.of("data", Struct.EMPTY)))))));
  private static final Struct TREE =
      new Struct(
          "Tree",
          List.of(
              Member.optional("child", new Deferred(SchemaCheckTest::tree)),
              Member.optional("leaf", STRING)));
  private static final Struct ALL =
      new Struct(
          "All",
          List.of(
              Member.optional("string", STRING),
              Member.optional("boolean", BOOLEAN),
              Member.optional("int64", INT64),
              Member.optional("uint32", UINT32),
              Member.optional("uint64", UINT64),
              Member.optional("size", SIZE),
              Member.optional("number", NUMBER),
              Member.optional("null", NULL),
              Member.optional("any", ANY),
              Member.optional("kind", KIND),
              Member.optional("kinds", new ArrayOf(KIND)),
              Member.optional("sizes", new ArrayOf(UINT32)),
              Member.optional("rows", new ArrayOf(new ArrayOf(STRING))),
              Member.optional("either", new Alternate("BitmapOrStr", List.of(STRING, BITMAP))),
              Member.optional(
                  "bitmaps", new ArrayOf(new Alternate("BitmapOrStr", List.of(STRING, BITMAP)))),
              Member.optional("actions", new ArrayOf(ACTION)),
              Member.optional("tree", TREE)));

  private static QmpType tree() {
    return TREE;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{'string':'','boolean':false,'null':null}",
        "{'int64':-9223372036854775808,'number':1.5,'any':[{'x':null}]}",
        "{'number':1}",
        "{'uint32':4294967295,'uint64':18446744073709551615,'size':0}",
        "{'kind':'stop','kinds':[],'rows':[['a'],[]]}",
        "{'either':'x'}",
        "{'either':{'node':'a','name':'b'}}",
        "{'bitmaps':['x',{'node':'a','name':'b'}]}",
        "{'actions':[{'type':'stop'},{'type':'abort','data':{}}]}",
        "{'tree':{'child':{'child':{},'leaf':'x'}}}",
      })
  void whatFitsIsTaken(String json) {
    assertDoesNotThrow(() -> SchemaCheck.check(Json.parse(json.getBytes(UTF_8)), ALL));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "[]|Invalid parameter type for '', expected: object",
        "{'x':1}|Parameter 'x' is unexpected",
        "{'string':1}|Invalid parameter type for 'string', expected: string",
        "{'string':null}|Invalid parameter type for 'string', expected: string",
        "{'boolean':1}|Invalid parameter type for 'boolean', expected: boolean",
        "{'int64':1.0}|Invalid parameter type for 'int64', expected: integer",
        "{'int64':9223372036854775808}|Invalid parameter type for 'int64', expected: integer",
        "{'uint32':'x'}|Parameter 'uint32' expects uint64",
        "{'uint32':1.0}|Parameter 'uint32' expects uint64",
        "{'uint32':null}|Parameter 'uint32' expects uint64",
        "{'uint32':99999999999999999999999}|Parameter 'uint32' expects uint64",
        "{'uint32':-1}|Parameter 'uint32' expects uint32_t",
        "{'uint32':4294967296}|Parameter 'uint32' expects uint32_t",
        "{'sizes':[1,4294967296]}|Parameter 'null' expects uint32_t",
        "{'sizes':[1,'x']}|Parameter 'sizes[1]' expects uint64",
        "{'uint64':-1}|Parameter 'uint64' expects uint64",
        "{'size':18446744073709551616}|Parameter 'size' expects uint64",
        "{'number':'1'}|Invalid parameter type for 'number', expected: number",
        "{'null':0}|Invalid parameter type for 'null', expected: null",
        "{'kind':'x'}|Parameter 'kind' does not accept value 'x'",
        "{'kind':1}|Invalid parameter type for 'kind', expected: string",
        "{'kinds':['x']}|Parameter 'null' does not accept value 'x'",
        "{'kinds':'add'}|Invalid parameter type for 'kinds', expected: array",
        "{'rows':[['a'],['b',1]]}|Invalid parameter type for 'rows[1][1]', expected: string",
        "{'either':1}|Invalid parameter type for 'either', expected: BitmapOrStr",
        "{'either':{'node':'a'}}|Parameter 'either.name' is missing",
        "{'bitmaps':['x',5]}|Invalid parameter type for 'null', expected: BitmapOrStr",
        "{'bitmaps':['x',{'node':'a'}]}|Parameter 'bitmaps[1].name' is missing",
        "{'bitmaps':[{'node':'a','name':'b','x':1}]}|Parameter 'bitmaps[0].x' is unexpected",
        "{'actions':[1]}|Invalid parameter type for 'actions[0]', expected: object",
        "{'actions':[{}]}|Parameter 'actions[0].type' is missing",
        "{'actions':[{'type':'x'}]}|Parameter 'type' does not accept value 'x'",
        "{'actions':[{'type':5}]}|Invalid parameter type for 'actions[0].type', expected: string",
        "{'actions':[{'type':'abort'}]}|Parameter 'actions[0].data' is missing",
        "{'actions':[{'type':'abort','data':{'x':1}}]}|"
            + "Parameter 'actions[0].data.x' is unexpected",
        "{'actions':[{'type':'stop','data':{}}]}|Parameter 'actions[0].data' is unexpected",
        "{'actions':[{'type':'add','data':{'node':5,'name':'x'}}]}|"
            + "Invalid parameter type for 'actions[0].data.node', expected: string",
        "{'actions':[{'type':'add','data':{'node':'x'}}]}|"
            + "Parameter 'actions[0].data.name' is missing",
        "{'tree':{'child':{'child':{'leaf':1}}}}|"
            + "Invalid parameter type for 'tree.child.child.leaf', expected: string",
      })
  void whatDoesNotFitIsRefusedInQemusWords(String json, String message) {
    assertEquals(
        message,
        assertThrows(
                SchemaMismatch.class,
                () -> SchemaCheck.check(Json.parse(json.getBytes(UTF_8)), ALL))
            .getMessage());
  }
}
