// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.exportInfo;
import static io.nbdfleece.nbd.client.ScriptedServer.optionReply;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Ways into the transmission phase, and what becomes of servers that do not lead there.
@Timeout(60)
final class HandshakeTest {
  private static final byte[] NOTHING = {};

  /// NBD_REP_ACK to GO.
  private static final byte[] GONE = optionReply(7, 1, NOTHING);

  @TempDir Path directory;

  record Case(String name, ScriptedServer.Script script, String expected) {
    @Override
    public String toString() {
      return name;
    }
  }

  /// A server that answers GO with these bytes, and everything before it rightly.
  private static Case go(String name, byte[] answer, String expected) {
    return new Case(
        name,
        peer -> {
          peer.greet();
          for (int option = peer.option(); option != 7; option = peer.option()) {
            peer.send(optionReply(option, 1, NOTHING));
          }
          peer.send(answer);
          peer.awaitClose();
        },
        expected);
  }

  private static Case first(String name, byte[] answer, String expected) {
    return new Case(
        name,
        peer -> {
          peer.greet();
          peer.option();
          peer.send(answer);
          peer.awaitClose();
        },
        expected);
  }

  private static Case context(String name, byte[] answer) {
    return new Case(
        name,
        peer -> {
          peer.greet();
          peer.send(optionReply(peer.option(), 1, NOTHING));
          peer.option();
          peer.send(answer);
          peer.awaitClose();
        },
        "metadata context");
  }

  private static byte[] info(byte[] payload) {
    return optionReply(7, 3, payload);
  }

  private static byte[] blockSizes(long minimum, long preferred, long maximum) {
    return info(bytes().u16(3).u32(minimum).u32(preferred).u32(maximum).array());
  }

  static Stream<Case> refused() {
    byte[] context = optionReply(10, 4, bytes().u32(1).text("base:allocation").array());
    byte[] longReply = bytes().u64(0x3e889045565a9L).u32(7).u32(3).u32(1 << 30).array();
    return Stream.of(
        new Case("http", peer -> peer.send(bytes().text("HTTP/1.1 400").array()), "not an NBD"),
        new Case(
            "oldstyle",
            peer -> peer.send(bytes().text("NBDMAGIC").u64(0x420281861253L).array()),
            "oldstyle"),
        new Case(
            "neither style", peer -> peer.send(bytes().text("NBDMAGIC").u64(7).array()), "0x7"),
        new Case("closed at once", peer -> {}, "before the greeting"),
        first("wrong reply magic", bytes().u64(1).u32(8).u32(1).u32(0).array(), "0x1"),
        first("wrong option", optionReply(7, 1, NOTHING), "reply to option 7"),
        first("ack with payload", optionReply(8, 1, new byte[3]), "with 3 bytes"),
        first("tls", optionReply(8, 0x80000005, NOTHING), "requires TLS; write nbds"),
        first("shutdown", optionReply(8, 0x80000007, NOTHING), "shutting down"),
        first("error text too long", optionReply(8, 0x80000001, new byte[4097]), "4097"),
        first("structured with a stray reply", optionReply(8, 3, NOTHING), "reply type 3"),
        context("context without id", optionReply(10, 4, new byte[4])),
        context("context never asked for", optionReply(10, 4, bytes().u32(1).text("x:y").array())),
        context("context twice", bytes().raw(context).raw(context).array()),
        context("context not utf-8", optionReply(10, 4, bytes().u32(1).u16(0xc328).array())),
        go("CVE-2021-20286: ack without export", GONE, "without size"),
        go("CVE-2023-5215: size 2^63", exportInfo(1L << 63, 1), "9223372036854775808"),
        go("size 2^64-1", exportInfo(-1, 1), "18446744073709551615"),
        go("no flags", exportInfo(4096, 0), "bit 0"),
        go("short export", info(bytes().u16(0).u64(1).array()), "information 0 of 10"),
        go("long export", info(bytes().u16(0).u64(1).u32(1).array()), "information 0 of 14"),
        go("no information type", info(new byte[1]), "without a type"),
        go("reply of 1 GiB", longReply, "1073741824"),
        go("description too long", info(bytes().u16(2).raw(new byte[4097]).array()), "4097"),
        go("name with nul", info(bytes().u16(1).u16(0).array()), "NUL"),
        go("name too long", info(bytes().u16(1).raw(new byte[4097]).array()), "4097"),
        go("minimum 0", blockSizes(0, 4096, 1 << 20), "minimum=0"),
        go("minimum 2^31", blockSizes(1L << 31, 4096, 1 << 20), "minimum=2147483648"),
        go("minimum 3", blockSizes(3, 4096, 1 << 20), "minimum=3"),
        go("preferred 256", blockSizes(1, 256, 1 << 20), "preferred=256"),
        go("maximum below minimum", blockSizes(4096, 4096, 512), "maximum=512"),
        go("policy", optionReply(7, 0x80000002, bytes().text("go\naway").array()), "go?away"),
        go("odd error", optionReply(7, 0x80000063, NOTHING), "error 99"));
  }

  @ParameterizedTest
  @MethodSource("refused")
  void serverIsRefusedWithItsUriAndTheReason(Case refused) throws Exception {
    try (ScriptedServer server = new ScriptedServer(directory, refused.script())) {
      IOException error =
          assertThrows(IOException.class, () -> server.connect("base:allocation").close());
      assertStarts(server.uri() + ": ", error);
      assertContains(refused.expected(), error);
    }
  }

  @Test
  void goThatIsNotKnownFallsBackToExportName() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.greet();
                  for (int option = peer.option(); option != 1; option = peer.option()) {
                    peer.send(optionReply(option, 0x80000001, NOTHING));
                  }
                  peer.send(bytes().u64(4096).u16(3).array());
                  peer.awaitClose();
                });
        NbdClient client = server.connect("base:allocation")) {
      assertEquals(4096, client.info().sizeBytes());
      assertEquals(Set.of(), client.info().abilities());
    }
  }

  @Test
  void serverBeforeFixedNewstyleGetsExportNameAndSendsZeroes() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.send(bytes().text("NBDMAGICIHAVEOPT").u16(0).array());
                  peer.receive(4);
                  peer.option();
                  peer.send(bytes().u64(4096).u16(1).raw(new byte[124]).array());
                  peer.send(ScriptedServer.simple(0, peer.request().cookie()));
                  peer.send(new byte[] {9});
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      ByteBuffer target = ByteBuffer.allocate(1);
      client.read(0, target).get();
      assertEquals(9, target.get(0));
    }
  }

  @Test
  void exportNameThatIsUnknownIsSaid() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.send(bytes().text("NBDMAGICIHAVEOPT").u16(0).array());
              peer.receive(4);
              peer.option();
            })) {
      IOException error = assertThrows(IOException.class, () -> server.connect().close());
      assertContains("none of that name", error);
    }
  }

  @Test
  void informationBecomesExportInfo() throws Exception {
    byte[] answers =
        bytes()
            .raw(info(bytes().u16(1).text("disk").array()))
            .raw(info(bytes().u16(2).text("a disk").array()))
            .raw(info(bytes().u16(4711).text("what?").array()))
            .raw(blockSizes(4096, 1 << 30, 0xffffffffL))
            .raw(exportInfo(1 << 30, 0x1 | 0x4 | 0x40))
            .raw(GONE)
            .array();
    Case go = go("all", answers, "");
    try (ScriptedServer server = new ScriptedServer(directory, go.script());
        NbdClient client = server.connect()) {
      assertEquals("a disk", client.info().description());
      assertEquals(1 << 30, client.info().sizeBytes());
      assertEquals(32 << 20, client.info().preferredBlockBytes());
      assertEquals(4096, client.minimumBlockBytes());
      assertEquals(64 << 20, client.maximumRequestBytes());
      assertEquals(
          Set.of(Ability.WRITE, Ability.FLUSH, Ability.WRITE_ZEROES), client.info().abilities());
    }
  }

  @Test
  void listThatLiesAboutALengthIsRefused() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              peer.option();
              peer.send(optionReply(3, 2, bytes().u32(-1).text("x").array()));
              peer.awaitClose();
            })) {
      IOException error = assertThrows(IOException.class, () -> NbdClient.list(server.uri()));
      assertContains("violated", error);
    }
  }

  @Test
  void endlessListIsRefused() throws Exception {
    byte[] line = optionReply(3, 2, bytes().u32(4096).raw(new byte[4096]).array());
    java.util.Arrays.fill(line, 24, line.length, (byte) 'x');
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              peer.option();
              while (true) {
                peer.send(line);
              }
            })) {
      IOException error = assertThrows(IOException.class, () -> NbdClient.list(server.uri()));
      assertContains("more than 16777216 bytes", error);
    }
  }

  @Test
  void missingSocketIsSaid() {
    NbdUri uri = new NbdUri.Unix(directory.resolve("no.sock"), "");
    IOException error =
        assertThrows(IOException.class, () -> NbdClient.connect(uri, List.of()).close());
    assertStarts(uri + ": there is no socket ", error);
  }

  @Test
  void socketThatNobodyListensOnIsSaid() throws Exception {
    NbdUri uri;
    try (ScriptedServer server = new ScriptedServer(directory, peer -> {})) {
      uri = server.uri();
    }
    Path socket = ((NbdUri.Unix) uri).socket();
    try (var listener =
        java.nio.channels.ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
      listener.bind(java.net.UnixDomainSocketAddress.of(socket));
    }
    IOException error =
        assertThrows(IOException.class, () -> NbdClient.connect(uri, List.of()).close());
    assertContains("nothing listens on the socket", error);
  }

  @Test
  void socketPathThatIsTooLongIsSaid() {
    NbdUri uri = new NbdUri.Unix(Path.of("/tmp/" + "x".repeat(103)), "");
    IOException error =
        assertThrows(IOException.class, () -> NbdClient.connect(uri, List.of()).close());
    assertContains("108 bytes (expected: <= 107)", error);
  }

  @Test
  void refusedPortIsSaid() throws Exception {
    int port;
    try (ServerSocket unused = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = unused.getLocalPort();
    }
    NbdUri uri = new NbdUri.Tcp("127.0.0.1", port, "");
    IOException error =
        assertThrows(IOException.class, () -> NbdClient.connect(uri, List.of()).close());
    assertStarts(uri + ": cannot connect to port " + port, error);
  }

  @Test
  void silentServerIsGivenUpAfterTheDeadline() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      NbdUri uri = new NbdUri.Tcp("localhost", silent.getLocalPort(), "");
      IOException error =
          assertThrows(IOException.class, () -> NbdClient.connect(uri, List.of()).close());
      assertContains("the server is silent, no answer within 10 s", error);
    }
  }

  @Test
  void interruptEndsConnecting() throws Exception {
    CountDownLatch greeted = new CountDownLatch(1);
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              greeted.countDown();
              peer.awaitClose();
            })) {
      CompletableFuture<Throwable> outcome = new CompletableFuture<>();
      Thread connecting =
          Thread.ofPlatform()
              .start(
                  () ->
                      outcome.complete(
                          assertThrows(IOException.class, () -> server.connect().close())));
      greeted.await();
      connecting.interrupt();
      assertInstanceOf(InterruptedIOException.class, outcome.get());
      connecting.join();
    }
  }

  @Test
  void connectingInACallbackIsRefused() throws Exception {
    CountDownLatch attached = new CountDownLatch(1); // else the callback may run right here
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.handshake();
              long cookie = peer.request().cookie();
              attached.await();
              peer.send(ScriptedServer.simple(0, cookie));
              peer.awaitClose();
            })) {
      try (NbdClientLoop loop = NbdClientLoop.start("own");
          NbdClient client = NbdClient.connect(server.uri(), List.of(), loop)) {
        CompletableFuture<Void> check =
            client
                .flush()
                .thenRun(
                    () ->
                        assertThrows(
                            IllegalStateException.class,
                            () -> NbdClient.connect(server.uri(), List.of(), loop).close()));
        attached.countDown();
        check.get();
      }
    }
  }

  private static void assertStarts(String expected, IOException error) {
    String message = String.valueOf(error.getMessage());
    assertTrue(message.startsWith(expected), message);
  }

  private static void assertContains(String expected, IOException error) {
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains(expected), message);
  }
}
