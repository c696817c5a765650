// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// What clients that have not opened an export can cost, and how many may open one.
@Timeout(60)
final class HandshakeLimitsTest {
  /// A name whose every character is escaped in the answer: 1.6 KiB.
  private static final byte[] ASKS_FOR_A_LOT =
      option(Nbd.OPT_INFO, RawPeer.go("\u0001".repeat(256)));

  private static TestServer server(ServerLimits limits) throws IOException {
    return new TestServer(new MemoryExport(1 << 20, MemoryExport.WRITABLE), limits);
  }

  @Test
  @Rule({"CVE-2024-7409", "O12"})
  void cve20247409ClientAmongAThousandSilentOnesOpensItsExport() throws Exception {
    List<SocketChannel> silent = new ArrayList<>();
    try (TestServer server = server(TestServer.LIMITS.withHandshakesMax(128))) {
      Thread flood =
          Thread.ofPlatform()
              .start(
                  () -> {
                    for (int index = 0; index < 1000; index++) {
                      try {
                        SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX);
                        synchronized (silent) {
                          silent.add(socket);
                        }
                        socket.connect(UnixDomainSocketAddress.of(server.socket));
                      } catch (IOException e) {
                        return;
                      }
                    }
                  });
      for (int round = 0; round < 20; round++) {
        try (RawPeer peer = server.open()) {
          peer.send(request(Nbd.CMD_FLUSH, round, 0, 0));
          assertEquals(round, peer.reply().cookie());
        }
      }
      flood.join(TimeUnit.SECONDS.toMillis(30));
      try (RawPeer peer = server.open()) {
        Awaitility.await().until(() -> server.server.connectionCount() <= 129);
        peer.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
        assertEquals(1, peer.reply().cookie());
      }
      assertEquals(21, server.disk.connected.get(), "CVE-2019-14850: opened for real clients only");
    } finally {
      synchronized (silent) {
        for (SocketChannel socket : silent) {
          socket.close();
        }
      }
    }
  }

  @Test
  void silentClientGivesWayBeforeOneThatTalks() throws IOException {
    try (TestServer server = server(TestServer.LIMITS.withHandshakesMax(2));
        RawPeer talking = server.connect();
        RawPeer silent = server.connect()) {
      talking.greet(3);
      talking.send(option(Nbd.OPT_LIST));
      talking.optionReply();
      talking.optionReply();
      silent.in.readNBytes(18);
      try (RawPeer third = server.connect()) {
        third.greet(3);
        assertTrue(silent.atEnd());
        third.go();
        talking.go();
      }
    }
  }

  @Test
  void clientsWithAnOpenExportDoNotCountAsHandshakes() throws IOException {
    try (TestServer server = server(TestServer.LIMITS.withHandshakesMax(1));
        RawPeer first = server.open();
        RawPeer second = server.open();
        RawPeer third = server.open()) {
      for (RawPeer peer : List.of(first, second, third)) {
        peer.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
        assertEquals(0, peer.reply().error());
      }
    }
  }

  @Test
  void oneClientTooManyIsRefusedUntilAnotherOneLeaves() throws IOException {
    try (TestServer server = server(TestServer.LIMITS.withConnectionsMax(1));
        RawPeer waiting = server.connect()) {
      waiting.greet(3);
      try (RawPeer first = server.open();
          RawPeer old = server.connect()) {
        waiting.send(option(Nbd.OPT_GO, RawPeer.go("disk")));
        RawPeer.OptionAnswer refusal = waiting.optionReply();
        assertEquals(Nbd.REP_ERR_POLICY, refusal.type());
        assertEquals("too many clients: try again later", refusal.text());
        assertTrue(first.socket.isOpen());
        old.greet(3);
        old.send(option(Nbd.OPT_EXPORT_NAME, "disk".getBytes(StandardCharsets.UTF_8)));
        assertTrue(old.atEnd());
        waiting.send(option(Nbd.OPT_INFO, RawPeer.go("disk")));
        assertEquals(Nbd.REP_INFO, waiting.optionReply().type());
        assertEquals(Nbd.REP_ACK, waiting.optionReply().type());
      }
      Awaitility.await().until(() -> server.server.connectionCount() == 1);
      waiting.go();
    }
  }

  @Test
  @Rule({"CVE-2017-15119", "O4"})
  void cve201715119BytesOfOneHandshakeAreBounded() throws IOException {
    try (TestServer server = server(TestServer.LIMITS);
        RawPeer peer = server.connect()) {
      peer.greet(3);
      int sent = 0;
      try {
        while (sent < 100) {
          peer.send(option(99, new byte[1 << 20]));
          assertEquals(Nbd.REP_ERR_UNSUP, peer.optionReply().type());
          sent++;
        }
      } catch (IOException ended) {
        assertEquals(16, sent);
      }
    }
  }

  @Test
  void processAtTheOtherEndOfAUnixSocketIsKnown() throws IOException {
    class Asking extends MemoryExport {
      volatile ClientIdentity client = ClientIdentity.UNKNOWN;

      Asking() {
        super(512, WRITABLE);
      }

      @Override
      public Optional<Export> find(String name, ClientIdentity asking) {
        client = asking;
        return super.find(name, asking);
      }
    }

    Asking catalog = new Asking();
    try (TestServer server = new TestServer(catalog);
        RawPeer peer = server.open()) {
      assertTrue(peer.socket.isOpen());
      ClientIdentity.Unix process = catalog.client.unix().orElseThrow();
      assertEquals(ProcessHandle.current().pid(), process.pid());
      assertTrue(catalog.client.tls().isEmpty());
    }
  }

  @Test
  void dropsOfOnePeerAreLoggedOncePerSecond() {
    AtomicLong now = new AtomicLong();
    DropLog log = new DropLog(now::get);
    assertEquals(0, log.admit("a"));
    assertEquals(-1, log.admit("a"));
    assertEquals(-1, log.admit("a"));
    assertEquals(0, log.admit("b"));
    now.addAndGet(TimeUnit.SECONDS.toNanos(1));
    assertEquals(2, log.admit("a"));
    for (int peer = 0; peer < 10_000; peer++) {
      assertEquals(0, log.admit("flood " + peer));
    }
  }

  private static Connection begun(Handshakes handshakes, ServerState state) {
    Connection connection = new Connection(state, new EmbeddedChannel());
    handshakes.begin(connection);
    return connection;
  }

  /// Whether it has its place still, which it loses by that.
  private static boolean leaves(Handshakes handshakes, Connection connection) {
    int before = handshakes.count();
    handshakes.end(connection);
    return handshakes.count() < before;
  }

  @Test
  void clientsThatTalkNeitherHoldUpNorPushOutNewOnes() {
    AtomicLong now = new AtomicLong();
    Handshakes handshakes = new Handshakes(16, now::get);
    ServerState state =
        new ServerState(
            new MemoryExport(512, MemoryExport.WRITABLE),
            TestServer.LIMITS,
            PooledByteBufAllocator.DEFAULT);
    List<Connection> talking = new ArrayList<>();
    for (int index = 0; index < 16; index++) {
      talking.add(begun(handshakes, state));
      handshakes.progress(talking.getLast());
    }
    assertEquals(0, handshakes.pauseNanos());
    List<Connection> silent = new ArrayList<>();
    for (int index = 0; index < 2; index++) {
      silent.add(begun(handshakes, state));
      assertEquals(0, handshakes.pauseNanos());
    }
    silent.add(begun(handshakes, state));
    assertTrue(handshakes.pauseNanos() > 0, "many at once may be a flood of silent ones");
    silent.add(begun(handshakes, state));
    now.addAndGet(TimeUnit.SECONDS.toNanos(1));
    assertEquals(16, handshakes.count());
    assertTrue(handshakes.pauseNanos() <= 0);
    Connection last = begun(handshakes, state);
    assertFalse(leaves(handshakes, silent.getFirst()), "one that had its chance goes first");
    assertTrue(leaves(handshakes, silent.get(1)));
    assertTrue(leaves(handshakes, last));
    assertFalse(leaves(handshakes, talking.get(3)), "those without progress for longest");
    assertTrue(leaves(handshakes, talking.get(4)));
  }

  /// The answers fill what waits for the socket, so the handshake pauses; behind it come more
  /// requests than may be begun at once, so the next phase pauses while the first one goes on.
  @Test
  void whoAsksForALotAndHasManyRequestsBehindItIsAnswered() throws Exception {
    int requests = 10;
    try (TestServer server = server(TestServer.LIMITS.withRequestsInFlightMax(2))) {
      for (int options = 30; options < 60; options++) {
        try (RawPeer peer = RawPeer.connect(server.socket)) {
          peer.greet(3);
          peer.send(lot(options, requests));
          assertAnswered(peer, options, requests);
        }
      }
    }
  }

  /// Who may only read moves to another event loop, which it must survive that its client has
  /// already said all.
  @Test
  void whoAsksForALotAndHasSaidAllIsAnswered() throws Exception {
    int requests = 3;
    try (TestServer server = new TestServer(new MemoryExport(1 << 20, Set.of()))) {
      for (int options = 110; options < 158; options += 3) {
        try (SocketChannel socket = SocketChannel.open(UnixDomainSocketAddress.of(server.socket));
            RawPeer peer = new RawPeer(socket)) {
          peer.greet(3);
          peer.send(lot(options, requests));
          socket.shutdownOutput();
          assertAnswered(peer, options, requests);
          assertTrue(peer.atEnd());
        }
      }
      Awaitility.await().until(() -> server.server.connectionCount() == 0);
    }
  }

  private static void assertAnswered(RawPeer peer, int options, int requests) throws IOException {
    for (int index = 0; index < options; index++) {
      assertEquals(Nbd.REP_ERR_UNKNOWN, peer.answers(Nbd.OPT_INFO).getLast().type());
    }
    assertEquals(Nbd.REP_ACK, peer.answers(Nbd.OPT_GO).getLast().type());
    for (int index = 0; index < requests; index++) {
      assertEquals(0, peer.reply(8).error());
    }
  }

  private static byte[] lot(int options, int requests) {
    byte[][] parts = new byte[options + 1 + requests][];
    Arrays.fill(parts, 0, options, ASKS_FOR_A_LOT);
    parts[options] = option(Nbd.OPT_GO, RawPeer.go("disk"));
    Arrays.fill(parts, options + 1, parts.length, request(Nbd.CMD_READ, 1, 0, 8));
    return RawPeer.concat(parts);
  }
}
