// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Greeting, client flags, the framing of options, NBD_OPT_EXPORT_NAME, NBD_OPT_ABORT,
/// NBD_OPT_LIST.
@Timeout(60)
class OptionConformanceTest {
  private static final int[] KNOWN = {
    Nbd.OPT_LIST,
    Nbd.OPT_STARTTLS,
    Nbd.OPT_INFO,
    Nbd.OPT_GO,
    Nbd.OPT_STRUCTURED_REPLY,
    Nbd.OPT_LIST_META_CONTEXT,
    Nbd.OPT_SET_META_CONTEXT,
    Nbd.OPT_EXTENDED_HEADERS
  };

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

  private int finalType(int option, byte[]... data) throws IOException {
    return peer.ask(option, data).getLast().type();
  }

  private void assertStillHaggling() throws IOException {
    assertEquals(Nbd.REP_ACK, finalType(Nbd.OPT_LIST));
  }

  @Test
  @Rule({"G1", "G2", "G3", "G4"})
  void tcpClientGetsTheGreetingWithoutDelay() throws IOException {
    NbdServer tcp =
        NbdServer.start(
            new ServerConfig(
                List.of(
                    new ServerConfig.Listen.Tcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))),
                TestServer.LIMITS),
            server.disk);
    NbdUri.Tcp uri = (NbdUri.Tcp) tcp.uris().getFirst();
    try (RawPeer client =
        new RawPeer(SocketChannel.open(new InetSocketAddress(uri.host(), uri.port())))) {
      byte[] greeting = client.in.readNBytes(18);
      assertArrayEquals(
          "NBDMAGICIHAVEOPT\0\3".getBytes(java.nio.charset.StandardCharsets.US_ASCII), greeting);
      for (Connection connection : tcp.connections()) {
        assertEquals(
            true,
            connection.channel().config().getOption(io.netty.channel.ChannelOption.TCP_NODELAY));
        assertEquals(
            LoopbackTcp.RENO, connection.channel().config().getOption(LoopbackTcp.CONGESTION));
      }
    } finally {
      tcp.close(Duration.ZERO);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 7, 8, 15, 16, 30, 31})
  @Rule("G5")
  void everyUnknownClientFlagEndsTheConnection(int bit) throws IOException {
    peer.greet(3 | 1 << bit);
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule({"G6", "G7", "O10"})
  void withoutFixedNewstyleEveryOptionButExportNameIsInvalid() throws IOException {
    peer.greet(0);
    for (int option : KNOWN) {
      int type = finalType(option);
      assertTrue(
          type == Nbd.REP_ERR_INVALID || type == Nbd.REP_ERR_UNSUP, () -> option + ": " + type);
    }
    peer.send(option(Nbd.OPT_EXPORT_NAME));
    assertEquals(1 << 20, peer.in.readLong());
    peer.in.readUnsignedShort();
    assertArrayEquals(new byte[124], peer.in.readNBytes(124));
    peer.send(RawPeer.request(Nbd.CMD_READ, 8, 0, 512));
    assertEquals(8, peer.reply(512).cookie());
  }

  @Test
  @Rule("G8")
  void noZeroesWithoutFixedNewstyleIsHonouredAsWell() throws IOException {
    peer.greet(Nbd.FLAG_NO_ZEROES);
    peer.send(option(Nbd.OPT_EXPORT_NAME), RawPeer.request(Nbd.CMD_FLUSH, 6, 0, 0));
    peer.in.readNBytes(10);
    assertEquals(6, peer.reply().cookie());
  }

  @Test
  @Rule({"G9", "O2", "O8", "O11", "I8"})
  void refusedOptionsLeaveTheConnectionOpenAndHaveOneAnswerWithAText() throws IOException {
    peer.greet(3);
    byte[] one = {1};
    for (int option : KNOWN) {
      List<OptionAnswer> answers = peer.ask(option, one);
      assertEquals(1, answers.size());
      assertTrue(answers.getFirst().type() < 0);
      assertFalse(answers.getFirst().text().isEmpty());
    }
    assertStillHaggling();
    peer.go();
  }

  @Test
  @Rule({"O3", "O2"})
  void unknownOptionsAreSkippedByTheirLengthWhateverTheyHold() throws IOException {
    peer.greet(3);
    Random random = new Random(5);
    byte[] decoy = option(Nbd.OPT_ABORT);
    for (int length : new int[] {0, 1, 15, 16, 17, 4096, 65_535, 65_536, 65_537, 1 << 20}) {
      byte[] data = new byte[length];
      random.nextBytes(data);
      System.arraycopy(decoy, 0, data, 0, Math.min(length, decoy.length));
      int number = random.nextInt() | 1 << 20;
      assertEquals(Nbd.REP_ERR_UNSUP, finalType(number, data));
    }
    assertStillHaggling();
  }

  @Test
  @Rule({"O3", "O8"})
  void optionsSentAtOnceAreAnsweredOneByOneInOrder() throws IOException {
    peer.greet(3);
    byte[][] all = new byte[60][];
    for (int index = 0; index < all.length; index++) {
      all[index] =
          switch (index % 3) {
            case 0 -> option(1000 + index, new byte[index]);
            case 1 -> option(Nbd.OPT_LIST);
            default -> option(Nbd.OPT_INFO, go("disk", 3));
          };
    }
    peer.send(RawPeer.concat(all));
    for (int index = 0; index < all.length; index++) {
      switch (index % 3) {
        case 0 -> assertEquals(Nbd.REP_ERR_UNSUP, peer.answers(1000 + index).getFirst().type());
        case 1 -> assertEquals(2, peer.answers(Nbd.OPT_LIST).size());
        default -> assertEquals(3, peer.answers(Nbd.OPT_INFO).size());
      }
    }
    assertStillHaggling();
  }

  @ParameterizedTest
  @ValueSource(ints = {1 << 20 | 1, 0x7fffffff, 0x80000000, 0xffffffff})
  @Rule({"O4", "CVE-2017-15119"})
  void optionThatIsADenialOfServiceEndsTheConnection(int length) throws IOException {
    for (int option : new int[] {Nbd.OPT_LIST, Nbd.OPT_GO, 1234}) {
      try (RawPeer client = server.connect()) {
        client.greet(3);
        client.send(
            bytes(
                out -> {
                  out.writeLong(Nbd.IHAVEOPT);
                  out.writeInt(option);
                  out.writeInt(length);
                }));
        assertTrue(client.atEnd());
      }
    }
  }

  @Test
  @Rule({"O5", "I3", "O10"})
  void namesAreUtf8WithoutNulUpTo4096Bytes() throws IOException {
    peer.greet(3);
    assertEquals(Nbd.REP_ERR_UNKNOWN, finalType(Nbd.OPT_INFO, go("ä".repeat(2048))));
    assertEquals(Nbd.REP_ERR_INVALID, finalType(Nbd.OPT_INFO, go("x".repeat(4097))));
    assertEquals(Nbd.REP_ERR_INVALID, finalType(Nbd.OPT_INFO, go("disk\0")));
    byte[] notUtf8 = go("disk");
    notUtf8[5] = (byte) 0xff;
    assertEquals(Nbd.REP_ERR_INVALID, finalType(Nbd.OPT_INFO, notUtf8));
    byte[] overlong = go("di");
    overlong[4] = (byte) 0xc0;
    overlong[5] = (byte) 0xaf;
    assertEquals(Nbd.REP_ERR_INVALID, finalType(Nbd.OPT_INFO, overlong));
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    assertEquals(Nbd.REP_ERR_INVALID, finalType(Nbd.OPT_SET_META_CONTEXT, queries("disk", "a:\0")));
    assertEquals(
        Nbd.REP_ERR_INVALID,
        finalType(Nbd.OPT_LIST_META_CONTEXT, queries("disk", "a:" + "x".repeat(4095))));
    assertEquals(
        Nbd.REP_ACK,
        finalType(Nbd.OPT_LIST_META_CONTEXT, queries("disk", "a:" + "x".repeat(4094))));
  }

  @Test
  @Rule("O7")
  void repeatedOptionsThatChangeStateAreFine() throws IOException {
    peer.greet(3);
    assertEquals(Nbd.REP_ACK, finalType(Nbd.OPT_STRUCTURED_REPLY));
    int again = finalType(Nbd.OPT_STRUCTURED_REPLY);
    assertTrue(again == Nbd.REP_ACK || again == Nbd.REP_ERR_INVALID);
    for (int count = 0; count < 3; count++) {
      assertEquals(
          2, peer.ask(Nbd.OPT_SET_META_CONTEXT, queries("disk", "base:allocation")).size());
    }
    peer.go();
    peer.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
    assertEquals(Nbd.REPLY_BLOCK_STATUS, peer.reply().type());
  }

  @Test
  @Rule("O12")
  void hundredOptionsAreAlwaysAllowed() throws IOException {
    peer.greet(3);
    for (int count = 0; count < 100; count++) {
      assertEquals(Nbd.REP_ERR_UNSUP, finalType(50 + count));
    }
    peer.go();
  }

  @Test
  @Rule({"E1", "E3", "F7"})
  void exportNameOpensTheDefaultExportByTheEmptyName() throws IOException {
    peer.greet(3);
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    peer.send(option(Nbd.OPT_EXPORT_NAME));
    assertEquals(1 << 20, peer.in.readLong());
    int flags = peer.in.readUnsignedShort();
    assertNotEquals(0, flags & Nbd.FLAG_SEND_DF, "structured replies were agreed before");
    peer.send(RawPeer.request(Nbd.CMD_READ, Nbd.CMD_FLAG_DF, 1, 0, 512));
    assertEquals(Nbd.REPLY_FLAG_DONE, peer.reply().flags());
  }

  @Test
  @Rule("E2")
  void exportNameThatCannotBeOpenedEndsTheConnectionWithoutAByte() throws IOException {
    for (byte[] name : List.of(new byte[] {'x'}, new byte[] {0}, new byte[] {-1}, new byte[4097])) {
      try (RawPeer client = server.connect()) {
        client.greet(3);
        client.send(option(Nbd.OPT_EXPORT_NAME, name));
        assertTrue(client.atEnd());
      }
    }
    assertEquals(0, server.disk.connected.get());
  }

  @Test
  @Rule({"AB1", "AB2"})
  void clientMayAbortAndLeaveWithoutWaiting() throws IOException {
    for (int count = 0; count < 200; count++) {
      try (RawPeer client = server.connect()) {
        client.greet(3);
        client.send(option(Nbd.OPT_LIST), option(Nbd.OPT_ABORT, new byte[count]));
      }
    }
    peer.greet(3);
    peer.go();
    Awaitility.await().until(() -> server.disk.connected.get() == 1);
  }

  @Test
  @Rule({"L1", "L2"})
  void listHasOneReplyPerExportWithItsLengthPrefixedName() throws IOException {
    CatalogExport catalog =
        new CatalogExport()
            .with("a", new MemoryExport(512, MemoryExport.WRITABLE))
            .with("ü b", new MemoryExport(1024, MemoryExport.WRITABLE));
    try (TestServer other = new TestServer(catalog);
        RawPeer client = other.connect()) {
      client.greet(3);
      List<String> names = new ArrayList<>();
      List<OptionAnswer> answers = client.ask(Nbd.OPT_LIST);
      for (OptionAnswer answer : answers.subList(0, answers.size() - 1)) {
        assertEquals(Nbd.REP_SERVER, answer.type());
        byte[] name = new byte[answer.buffer().getInt()];
        answer.buffer().get(4, name);
        names.add(new String(name, java.nio.charset.StandardCharsets.UTF_8));
      }
      assertEquals(List.of("a", "ü b"), names);
      assertEquals(Nbd.REP_ERR_INVALID, client.ask(Nbd.OPT_LIST, new byte[70]).getLast().type());
      assertEquals(3, client.ask(Nbd.OPT_LIST).size());
    }
  }

  @Test
  @Rule("L4")
  void listLeavesOutWhatTheClientMayNotOpen() throws IOException {
    CatalogExport catalog =
        new CatalogExport("mine", "theirs")
            .with("mine", new MemoryExport(512, MemoryExport.WRITABLE));
    try (TestServer other = new TestServer(catalog);
        RawPeer client = other.connect()) {
      client.greet(3);
      List<OptionAnswer> answers = client.ask(Nbd.OPT_LIST);
      assertEquals(2, answers.size());
      assertTrue(answers.getFirst().text().contains("mine"));
      assertEquals(Nbd.REP_ERR_UNKNOWN, client.ask(Nbd.OPT_GO, go("theirs")).getLast().type());
    }
  }
}
