// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.server.RawPeer.Answer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// NBD_CMD_BLOCK_STATUS.
class BlockStatusTest {
  private static final String BASE = "base:allocation";
  private static final String BITMAP = "qemu:dirty-bitmap:b0";

  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    server = TestServer.writable();
    peer = server.connect();
    peer.greet(3);
    peer.send(option(Nbd.OPT_STRUCTURED_REPLY));
    peer.optionReply();
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private void select(String... contexts) throws IOException {
    peer.send(option(Nbd.OPT_SET_META_CONTEXT, queries("disk", contexts)));
    while (peer.optionReply().type() != Nbd.REP_ACK) {
      // one per context
    }
    peer.go();
  }

  private static ContextExtents extents(String context, long... lengthsAndFlags) {
    List<Extent> extents = new ArrayList<>();
    for (int index = 0; index < lengthsAndFlags.length; index += 2) {
      extents.add(new Extent(lengthsAndFlags[index], (int) lengthsAndFlags[index + 1]));
    }
    return new ContextExtents(context, extents);
  }

  /// `id: length/flags …` of one chunk.
  private static String describe(Answer chunk) {
    ByteBuffer data = chunk.buffer();
    StringBuilder text = new StringBuilder().append(data.getInt()).append(':');
    while (data.hasRemaining()) {
      text.append(' ').append(Integer.toUnsignedString(data.getInt())).append('/');
      text.append(data.getInt());
    }
    return text.toString();
  }

  private List<String> ask(int flags, long offset, long length, int chunks) throws IOException {
    peer.send(request(Nbd.CMD_BLOCK_STATUS, flags, 7, offset, length));
    List<String> answers = new ArrayList<>();
    for (int index = 0; index < chunks; index++) {
      Answer chunk = peer.reply();
      assertEquals(Nbd.REPLY_BLOCK_STATUS, chunk.type());
      assertEquals(7, chunk.cookie());
      assertEquals(index == chunks - 1 ? Nbd.REPLY_FLAG_DONE : 0, chunk.flags());
      answers.add(describe(chunk));
    }
    return answers;
  }

  /// Ten of them, with cookies from 0, and a request behind them, whose reply shows that all have
  /// been seen.
  private void askTen() throws IOException {
    for (int cookie = 0; cookie < 10; cookie++) {
      peer.send(request(Nbd.CMD_BLOCK_STATUS, cookie, 0, 512));
    }
    peer.send(request(Nbd.CMD_READ, 10, 0, 0));
    assertEquals(10, peer.reply().cookie());
  }

  private void letGo() {
    Runnable oldest = server.disk.held.poll();
    assertTrue(oldest != null);
    oldest.run();
  }

  @Test
  void exportLooksForAFewAnswersAtATimeAndForAllOfThemInTheEnd() throws IOException {
    select(BASE);
    server.disk.hold = true;
    askTen();
    assertEquals(StatusQueue.STARTED_COUNT, server.disk.held.size());
    letGo();
    assertEquals(0, peer.reply().cookie());
    Awaitility.await().until(() -> server.disk.held.size() == StatusQueue.STARTED_COUNT);
    server.disk.hold = false;
    for (int count = 0; count < StatusQueue.STARTED_COUNT; count++) {
      letGo();
    }
    boolean[] answered = new boolean[10];
    for (int count = 1; count < 10; count++) {
      int cookie = (int) peer.reply().cookie();
      assertFalse(answered[cookie]);
      answered[cookie] = true;
    }
  }

  @Test
  void answersThatWaitForTheirTurnAreNotLookedForWhenTheClientHasGone() throws IOException {
    select(BASE);
    server.disk.hold = true;
    askTen();
    peer.close();
    // The first answer shows that nobody is there any more.
    letGo();
    Awaitility.await()
        .until(
            () ->
                server.server.connections().stream()
                    .noneMatch(connection -> connection.channel().isActive()));
    for (int count = 0; count < StatusQueue.STARTED_COUNT; count++) {
      letGo();
    }
    server.awaitNoConnections();
    assertEquals(0, server.disk.held.size());
  }

  @Test
  @Rule("B1")
  void contextsAreCutToEqualCoverage() throws IOException {
    select(BASE, BITMAP);
    server.disk.statuses =
        List.of(extents(BASE, 4096, 0, 8192, 3, 4096, 0), extents(BITMAP, 6144, 1));
    assertEquals(List.of("1: 4096/0 2048/3", "2: 6144/1"), ask(0, 0, 65536, 2));
  }

  @Test
  @Rule("B5")
  void equalNeighboursAreMergedAndTheEndIsCutToTheRequest() throws IOException {
    select(BASE);
    server.disk.statuses = List.of(extents(BASE, 512, 3, 512, 3, 512, 0, 512, 0, 512, 0));
    assertEquals(List.of("1: 1024/3 1024/0"), ask(0, 0, 2048, 1));
  }

  @Test
  @Rule({"AL1", "B6"})
  void holeThatDoesNotReadAsZeroesIsReportedAsData() throws IOException {
    select(BASE, BITMAP);
    server.disk.statuses =
        List.of(extents(BASE, 512, 1, 512, 0, 512, 2, 512, 7), extents(BITMAP, 4096, 1));
    assertEquals(List.of("1: 1024/0 512/2 512/3", "2: 2048/1"), ask(0, 0, 4096, 2));
  }

  @Test
  void hugeExtentsAreCut() throws IOException {
    select(BASE);
    server.disk.statuses = List.of(extents(BASE, Long.MAX_VALUE, 3));
    assertEquals(List.of("1: 1048576/3"), ask(0, 0, 1 << 20, 1));
  }

  @Test
  @Rule("B2")
  void requestOneIsOneDescriptorPerContextWithinTheRequest() throws IOException {
    select(BASE, BITMAP);
    server.disk.statuses = List.of(extents(BASE, 512, 3, 512, 3, 512, 0), extents(BITMAP, 4096, 1));
    assertEquals(List.of("1: 1024/3", "2: 1024/1"), ask(Nbd.CMD_FLAG_REQ_ONE, 0, 4096, 2));
    assertEquals("status [base:allocation, qemu:dirty-bitmap:b0] 1", server.disk.lastCall);
    assertEquals(List.of("1: 600/3", "2: 600/1"), ask(Nbd.CMD_FLAG_REQ_ONE, 0, 600, 2));
  }

  @Test
  @Rule("B4")
  void descriptorsPerReplyAreCapped() throws IOException {
    select(BASE);
    server.disk.statuses =
        List.of(
            new ContextExtents(
                BASE,
                IntStream.range(0, (1 << 17) + 10)
                    .mapToObj(i -> new Extent(1, 2L * (i & 1)))
                    .toList()));
    String answer = ask(0, 0, 1 << 20, 1).getFirst();
    assertEquals(1 << 17, answer.chars().filter(c -> c == '/').count());
  }

  @Test
  @Rule("C11")
  void lengthOfFourGigabytesIsAccepted() throws IOException {
    MemoryExport huge =
        new MemoryExport(0, MemoryExport.WRITABLE) {
          @Override
          public io.nbdfleece.nbd.ExportInfo info() {
            return new io.nbdfleece.nbd.ExportInfo(
                1L << 40, "", MemoryExport.WRITABLE, 4096, List.of(BASE));
          }
        };
    try (TestServer other = new TestServer(huge)) {
      peer.close();
      peer = other.connect();
      peer.greet(3);
      peer.send(option(Nbd.OPT_STRUCTURED_REPLY));
      peer.optionReply();
      select(BASE);
      assertEquals(List.of("1: 4294901760/0"), ask(0, 1L << 39, 0xffffffffL, 1));
      assertEquals(0xffff0000L, huge.statusLengthAsked);
      peer.close();
    }
  }

  @Test
  @Rule("C5")
  void rangePastTheEndIsInvalid() throws IOException {
    select(BASE);
    peer.send(request(Nbd.CMD_BLOCK_STATUS, 0, 7, 1 << 20, 1));
    assertEquals(22, peer.reply().errorNumber());
  }

  @Test
  @Rule("B7")
  void answerForTheWrongContextIsAnInputOutputError() throws IOException {
    select(BASE);
    server.disk.statuses = List.of(extents(BITMAP, 4096, 0));
    peer.send(request(Nbd.CMD_BLOCK_STATUS, 0, 7, 0, 512));
    Answer answer = peer.reply();
    assertEquals(5, answer.errorNumber());
    assertTrue(answer.errorText().contains("block status"));
  }
}
