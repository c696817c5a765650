// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cli.base.Json;
import java.util.List;
import org.junit.jupiter.api.Test;

final class CommandWordsTest {
  private final CommandWords words =
      new CommandWords(
          Json.parse("[{'name':'add'},{'name':'adopt'},{'name':'quit'}]".getBytes(UTF_8)),
          Json.parse(
              ("[{'meta-type':'command','name':'add','arg-type':'0'},"
                      + "{'meta-type':'object','name':'0','members':["
                      + "{'name':'node','type':'str'},{'name':'on','type':'bool','default':null},"
                      + "{'name':'mode','type':'1'},{'name':'addr','type':'2'}]},"
                      + "{'meta-type':'enum','name':'1','values':['safe','hard']},"
                      + "{'meta-type':'object','name':'2','members':["
                      + "{'name':'path','type':'str'}]}]")
                  .getBytes(UTF_8)));

  @Test
  void commandsComeFirst() {
    assertEquals(List.of("add", "adopt"), words.candidates(List.of("ad")));
  }

  @Test
  void argumentsThatAreNotGivenYet() {
    assertEquals(List.of("addr.", "mode=", "node=", "on="), words.candidates(List.of("add", "")));
    assertEquals(
        List.of("addr.", "mode=", "on="), words.candidates(List.of("add", "node=vda", "")));
    assertEquals(List.of("addr.path="), words.candidates(List.of("add", "addr.")));
  }

  @Test
  void valuesThatAreKnown() {
    assertEquals(List.of("mode=hard", "mode=safe"), words.candidates(List.of("add", "mode=")));
    assertEquals(List.of("on=true"), words.candidates(List.of("add", "on=t")));
  }

  @Test
  void whatIsNotKnownHasNoCandidates() {
    assertEquals(List.of(), words.candidates(List.of("quit", "")));
    assertEquals(List.of(), words.candidates(List.of("nonsense", "a")));
  }
}
