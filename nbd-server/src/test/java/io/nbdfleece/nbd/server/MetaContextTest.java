// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
class MetaContextTest {
  private static final String BITMAP = "qemu:dirty-bitmap:b0";

  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    server = TestServer.writable();
    peer = server.connect();
    peer.greet(3);
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private List<String> ask(int option, byte[] data) throws IOException {
    peer.send(option(option, data));
    List<String> answers = new ArrayList<>();
    while (true) {
      OptionAnswer answer = peer.optionReply();
      if (answer.type() == Nbd.REP_ACK) {
        return answers;
      }
      answers.add(
          answer.type() == Nbd.REP_META_CONTEXT
              ? answer.buffer().getInt() + " " + answer.text().substring(4)
              : "error " + (answer.type() & 0xff));
      if (answer.type() < 0) {
        return answers;
      }
    }
  }

  private List<String> list(String... queries) throws IOException {
    return ask(Nbd.OPT_LIST_META_CONTEXT, queries("disk", queries));
  }

  private List<String> set(String... queries) throws IOException {
    return ask(Nbd.OPT_SET_META_CONTEXT, queries("disk", queries));
  }

  private void structured() throws IOException {
    ask(Nbd.OPT_STRUCTURED_REPLY, new byte[0]);
  }

  private int statusError() throws IOException {
    peer.go();
    peer.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
    return peer.reply().errorNumber();
  }

  @Test
  @Rule({"M4", "M6"})
  void listWithoutQueriesShowsAll() throws IOException {
    assertEquals(List.of("0 base:allocation", "0 " + BITMAP), list());
  }

  @Test
  @Rule({"M5", "M3"})
  void listUnderstandsWildcards() throws IOException {
    assertEquals(List.of("0 base:allocation"), list("base:"));
    assertEquals(List.of("0 " + BITMAP), list("qemu:"));
    assertEquals(List.of("0 " + BITMAP), list("qemu:dirty-bitmap:", BITMAP));
    assertEquals(List.of(), list("qemu:dirty", "other:", "base:other", ""));
  }

  @Test
  @Rule("M1")
  void setBeforeStructuredRepliesIsInvalid() throws IOException {
    assertEquals(List.of("error 3"), set("base:allocation"));
  }

  @Test
  @Rule("M6")
  void setGivesEachContextItsId() throws IOException {
    structured();
    assertEquals(
        List.of("1 " + BITMAP, "2 base:allocation"),
        set(BITMAP, "x-none:y", "base:allocation", BITMAP));
  }

  @Test
  @Rule({"M4", "M5", "M9"})
  void setIgnoresWildcardsAndNoQueriesSelectNothing() throws IOException {
    structured();
    assertEquals(List.of(), set("base:", "qemu:"));
    assertEquals(List.of(), set());
    assertEquals(22, statusError());
  }

  @Test
  @Rule({"M7", "M13"})
  void failedSetDropsTheEarlierSelection() throws IOException {
    structured();
    assertEquals(List.of("1 base:allocation"), set("base:allocation"));
    assertEquals(
        List.of("error 6"), ask(Nbd.OPT_SET_META_CONTEXT, queries("no", "base:allocation")));
    assertEquals(22, statusError());
  }

  @Test
  @Rule({"M7", "M2"})
  void tooLongSetDropsTheEarlierSelection() throws IOException {
    structured();
    set("base:allocation");
    assertEquals(List.of("error 9"), ask(Nbd.OPT_SET_META_CONTEXT, new byte[100_000]));
    assertEquals(22, statusError());
  }

  @Test
  @Rule("M8")
  void selectionForAnotherExportDoesNotCount() throws IOException {
    structured();
    ask(Nbd.OPT_SET_META_CONTEXT, queries("", "base:allocation"));
    assertEquals(22, statusError());
  }

  @Test
  @Rule("M8")
  void selectionSurvivesOtherOptions() throws IOException {
    structured();
    set("base:allocation");
    list();
    ask(99, new byte[3]);
    assertEquals(0, statusError());
  }

  @Test
  @Rule("M2")
  void lengthsThatDoNotFitAreInvalid() throws IOException {
    structured();
    byte[] good = queries("disk", "base:allocation");
    for (int length = 0; length < good.length; length++) {
      for (int option : new int[] {Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT}) {
        assertEquals(List.of("error 3"), ask(option, Arrays.copyOf(good, length)));
      }
    }
    assertEquals(
        List.of("error 3"), ask(Nbd.OPT_SET_META_CONTEXT, RawPeer.concat(good, new byte[1])));
    assertNotEquals(List.of("error 3"), ask(Nbd.OPT_SET_META_CONTEXT, good));
  }
}
