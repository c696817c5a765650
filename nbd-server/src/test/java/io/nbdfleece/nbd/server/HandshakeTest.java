// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// Greeting and options, one rule each.
class HandshakeTest {
  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    server = TestServer.writable();
    peer = server.connect();
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private List<OptionAnswer> ask(int option, byte[]... data) throws IOException {
    peer.send(option(option, data));
    List<OptionAnswer> answers = new ArrayList<>();
    OptionAnswer answer;
    do {
      answer = peer.optionReply();
      assertEquals(option, answer.option());
      answers.add(answer);
    } while (answer.type() != Nbd.REP_ACK && answer.type() > 0);
    return answers;
  }

  private void assertRefused(int type, int option, byte[]... data) throws IOException {
    List<OptionAnswer> answers = ask(option, data);
    assertEquals(1, answers.size());
    assertEquals(Integer.toHexString(type), Integer.toHexString(answers.getFirst().type()));
    assertFalse(answers.getFirst().text().isEmpty(), "an error has a text");
    assertEquals(Nbd.REP_ACK, ask(Nbd.OPT_LIST).getLast().type(), "and the client may go on");
  }

  @Test
  void greetingIsFixedNewstyleWithoutZeroes() throws IOException {
    assertEquals(Nbd.NBDMAGIC, peer.in.readLong());
    assertEquals(Nbd.IHAVEOPT, peer.in.readLong());
    assertEquals(3, peer.in.readUnsignedShort());
  }

  @Test
  void unknownClientFlagEndsTheConnection() throws IOException {
    peer.greet(7);
    assertTrue(peer.atEnd());
  }

  @Test
  void wrongOptionMagicEndsTheConnection() throws IOException {
    peer.greet(3);
    peer.send(new byte[16]);
    assertTrue(peer.atEnd());
  }

  @Test
  void withoutFixedNewstyleOnlyExportNameIsValid() throws IOException {
    peer.greet(0);
    peer.send(option(Nbd.OPT_LIST));
    assertEquals(Nbd.REP_ERR_INVALID, peer.optionReply().type());
    peer.send(option(Nbd.OPT_EXPORT_NAME));
    assertEquals(1 << 20, peer.in.readLong());
  }

  @Test
  void exportNameSendsZeroesUnlessAgreed() throws IOException {
    peer.greet(1);
    peer.send(
        option(Nbd.OPT_EXPORT_NAME, "disk".getBytes(java.nio.charset.StandardCharsets.UTF_8)));
    assertEquals(1 << 20, peer.in.readLong());
    assertEquals(0xd6d, peer.in.readUnsignedShort());
    assertArrayEquals(new byte[124], peer.in.readNBytes(124));
    peer.send(RawPeer.request(Nbd.CMD_FLUSH, 1, 0, 0));
    assertEquals(0, peer.reply().error());
  }

  @Test
  void exportNameWithoutZeroesGoesStraightToRequests() throws IOException {
    peer.greet(3);
    peer.send(option(Nbd.OPT_EXPORT_NAME), RawPeer.request(Nbd.CMD_FLUSH, 1, 0, 0));
    peer.in.readNBytes(10);
    assertEquals(1, peer.reply().cookie());
  }

  @Test
  void unknownExportNameEndsTheConnection() throws IOException {
    peer.greet(3);
    peer.send(option(Nbd.OPT_EXPORT_NAME, new byte[] {'x'}));
    assertTrue(peer.atEnd());
  }

  @Test
  void abortIsAcknowledgedThenTheConnectionEnds() throws IOException {
    peer.greet(3);
    assertEquals(Nbd.REP_ACK, ask(Nbd.OPT_ABORT, new byte[5]).getLast().type());
    assertTrue(peer.atEnd());
  }

  @Test
  void listNamesExportsAndDescriptions() throws IOException {
    peer.greet(3);
    List<OptionAnswer> answers = ask(Nbd.OPT_LIST);
    assertEquals(2, answers.size());
    assertEquals(Nbd.REP_SERVER, answers.getFirst().type());
    assertEquals("\0\0\0\4diskmemory disk", answers.getFirst().text());
  }

  @Test
  void listWithDataIsInvalid() throws IOException {
    peer.greet(3);
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_LIST, new byte[1]);
  }

  @Test
  void startTlsIsAgainstPolicy() throws IOException {
    peer.greet(3);
    assertRefused(Nbd.REP_ERR_POLICY, Nbd.OPT_STARTTLS);
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_STARTTLS, new byte[1]);
  }

  @Test
  void unknownOptionsAreUnsupported() throws IOException {
    peer.greet(3);
    assertRefused(Nbd.REP_ERR_UNSUP, 4);
    assertRefused(Nbd.REP_ERR_UNSUP, -1, new byte[100_000]);
  }

  @Test
  void knownOptionOf100KilobytesIsTooBig() throws IOException {
    peer.greet(3);
    assertRefused(Nbd.REP_ERR_TOO_BIG, Nbd.OPT_GO, new byte[100_000]);
  }

  @Test
  void optionAboveOneMegabyteEndsTheConnection() throws IOException {
    peer.greet(3);
    peer.send(
        bytes(
            out -> {
              out.writeLong(Nbd.IHAVEOPT);
              out.writeInt(99);
              out.writeInt((1 << 20) + 1);
            }));
    assertTrue(peer.atEnd());
  }

  @Test
  void structuredReplyWithDataIsInvalid() throws IOException {
    peer.greet(3);
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_STRUCTURED_REPLY, new byte[1]);
  }

  @Test
  void infoAnswersEachTypeAsked() throws IOException {
    peer.greet(3);
    List<OptionAnswer> answers = ask(Nbd.OPT_INFO, go("disk", 3, 2, 1, 0, 77, 3));
    assertEquals(5, answers.size());
    ByteBuffer export = answers.get(0).buffer();
    assertEquals(Nbd.INFO_EXPORT, export.getShort());
    assertEquals(1 << 20, export.getLong());
    assertEquals(0xd6d, export.getShort());
    ByteBuffer sizes = answers.get(1).buffer();
    assertEquals(Nbd.INFO_BLOCK_SIZE, sizes.getShort());
    assertEquals(
        List.of(1, 4096, 32 << 20), List.of(sizes.getInt(), sizes.getInt(), sizes.getInt()));
    assertEquals("\0\2memory disk", answers.get(2).text());
    assertEquals("\0\1disk", answers.get(3).text());
  }

  @Test
  void doNotFragmentIsOfferedWithStructuredReplies() throws IOException {
    peer.greet(3);
    ask(Nbd.OPT_STRUCTURED_REPLY);
    ByteBuffer export = ask(Nbd.OPT_INFO, go("disk")).getFirst().buffer();
    assertEquals(0xded, export.getShort(10));
  }

  @Test
  void readOnlyExportSaysSo() throws IOException {
    try (TestServer readOnly = new TestServer(new MemoryExport(512, Set.of()));
        RawPeer client = readOnly.connect()) {
      client.greet(3);
      client.send(option(Nbd.OPT_GO, go("")));
      assertEquals(
          Nbd.FLAG_HAS_FLAGS | Nbd.FLAG_READ_ONLY, client.optionReply().buffer().getShort(10));
    }
  }

  @Test
  void unknownExportIsAnErrorWithItsNameEscaped() throws IOException {
    peer.greet(3);
    List<OptionAnswer> answers = ask(Nbd.OPT_GO, go("a\nb\u202e"));
    assertEquals(1, answers.size());
    assertEquals(Nbd.REP_ERR_UNKNOWN, answers.getFirst().type());
    assertEquals("no export named \"a\\u000ab\\u202e\"", answers.getFirst().text());
    peer.go();
  }

  @Test
  void errorTextForTheLongestNameIsNotLongerThanAllowed() throws IOException {
    peer.greet(3);
    OptionAnswer answer = ask(Nbd.OPT_GO, go("x".repeat(4096))).getFirst();
    assertEquals(Nbd.REP_ERR_UNKNOWN, answer.type());
    assertTrue(answer.data().length <= 4096);
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_GO, go("x".repeat(4097)));
  }

  @Test
  void malformedGoIsInvalid() throws IOException {
    peer.greet(3);
    byte[] good = go("disk", 3);
    for (int length = 0; length < good.length; length++) {
      assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_GO, java.util.Arrays.copyOf(good, length));
    }
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_GO, good, new byte[1]);
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_GO, go("di\0sk"));
    assertRefused(
        Nbd.REP_ERR_INVALID, Nbd.OPT_INFO, bytes(o -> o.writeInt(1)), new byte[] {-1, 0, 0});
    assertRefused(Nbd.REP_ERR_INVALID, Nbd.OPT_GO, bytes(o -> o.writeInt(-1)), new byte[4]);
  }

  @Test
  void tooManyOptionsEndTheConnection() throws IOException {
    peer.greet(3);
    int allowed = TestServer.LIMITS.optionsMax() + WireLimits.OPTIONS_PER_EXPORT_MAX;
    for (int count = 0; count < allowed; count++) {
      ask(Nbd.OPT_INFO, go("disk"));
    }
    peer.send(option(Nbd.OPT_LIST));
    assertTrue(peer.atEnd());
  }
}
