// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class ShellSyntaxTest {
  private final ShellSyntax syntax = new ShellSyntax();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "query-status | {'execute':'query-status'}",
        "  quit   | {'execute':'quit'}",
        "add node=vda name=b0 granularity=65536"
            + " | {'execute':'add','arguments':{'node':'vda','name':'b0','granularity':65536}}",
        "add persistent=true x=null y=-1.5 z=01 w="
            + " | {'execute':'add','arguments':"
            + "{'persistent':true,'x':null,'y':-1.5,'z':'01','w':''}}",
        "start addr.type=unix addr.data.path=/tmp/s"
            + " | {'execute':'start','arguments':"
            + "{'addr':{'type':'unix','data':{'path':'/tmp/s'}}}}",
        "merge bitmaps=['b0', {'node': 'vdb'}] x='a b=c'"
            + " | {'execute':'merge','arguments':{'bitmaps':['b0',{'node':'vdb'}],'x':'a b=c'}}",
        "name x='7' | {'execute':'name','arguments':{'x':'7'}}",
        "{'execute':'query-status','id':1} | {'execute':'query-status','id':1}"
      })
  void aLineIsARequest(String line, String request) throws IOException {
    assertEquals(json(request), syntax.line(line).orElseThrow());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "   ", "# a comment"})
  void nothingIsNoRequest(String line) throws IOException {
    assertTrue(syntax.line(line).isEmpty());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "add node",
        "add =1",
        "add a=1 a=2",
        "add a=1 a.b=2",
        "add a=[1",
        "add a=[1}",
        "add a=\"x",
        "{\"execute\"",
        "add a={1}"
      })
  void mistakesAreTheUsersToCorrect(String line) {
    CommandFailure failure = assertThrows(CommandFailure.class, () -> syntax.line(line));
    assertEquals(ExitCode.USAGE, failure.code());
  }

  @Test
  void aTransactionGoesOverSeveralLines() throws IOException {
    assertTrue(syntax.line("transaction(").isEmpty());
    assertTrue(syntax.isInTransaction());
    assertTrue(syntax.line("block-dirty-bitmap-clear node=vda name=b0").isEmpty());
    assertEquals(
        json(
            "{'execute':'transaction','arguments':{'actions':["
                + "{'type':'block-dirty-bitmap-clear','data':{'node':'vda','name':'b0'}},"
                + "{'type':'abort','data':{}}]}}"),
        syntax.line("abort )").orElseThrow());
    assertFalse(syntax.isInTransaction());
  }

  @Test
  void aTransactionFitsOnOneLine() throws IOException {
    assertEquals(
        json("{'execute':'transaction','arguments':{'actions':[{'type':'abort','data':{}}]}}"),
        syntax.line("transaction( abort )").orElseThrow());
  }

  @Test
  void wordsThatAShellHasCutKeepTheirBlanks() throws IOException {
    assertEquals(
        json("{'execute':'x','arguments':{'a':'b c'}}"), ShellSyntax.words(List.of("x", "a=b c")));
    assertEquals(json("{'execute':'x','arguments':{'a':1}}"), ShellSyntax.words(List.of("x a=1")));
    assertEquals(json("{'execute':'x'}"), ShellSyntax.words(List.of("{'execute':'x'}")));
  }

  @Test
  void whatIsNoCommandIsNamedInWordsOfItsOwn() {
    assertTrue(fault("").contains("the command is empty"), fault(""));
    String torn = fault("{\"execute\": \"query-fleecing\"");
    assertTrue(torn.contains("expected close marker for Object"), torn);
    assertFalse(torn.contains("Source"), torn);
  }

  private static String fault(String word) {
    return Messages.of(assertThrows(CommandFailure.class, () -> ShellSyntax.words(List.of(word))));
  }

  private static JsonNode json(String text) {
    return Json.parse(text.getBytes(UTF_8));
  }
}
