// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.write;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.time.Duration;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/// [NbdServer#close].
class ShutdownTest {
  private static Thread close(TestServer server, Duration drain) {
    Thread closer = Thread.ofPlatform().start(() -> server.server.close(drain));
    Awaitility.await().until(() -> !Files.exists(server.socket));
    return closer;
  }

  @Test
  @Rule({"SD1", "SD2", "O9"})
  void requestsInFlightFinishAndNewOnesAreRefused() throws Exception {
    try (TestServer server = TestServer.writable();
        RawPeer busy = server.open();
        RawPeer idle = server.open();
        RawPeer haggling = server.connect()) {
      haggling.greet(3);
      haggling.send(option(Nbd.OPT_LIST));
      haggling.optionReply();
      haggling.optionReply();
      server.disk.hold = true;
      busy.send(request(Nbd.CMD_READ, 1, 0, 512));
      Awaitility.await().until(() -> server.disk.held.size() == 1);
      Thread closer = close(server, Duration.ofSeconds(30));
      assertTrue(idle.atEnd(), "nothing is awaited on an idle connection");
      busy.send(write(2, 0, new byte[512]));
      assertEquals(108, busy.reply().error());
      haggling.send(option(Nbd.OPT_GO, go("disk")));
      assertEquals(Nbd.REP_ERR_SHUTDOWN, haggling.optionReply().type());
      server.disk.held.take().run();
      assertEquals(1, busy.reply(512).cookie());
      assertTrue(busy.atEnd());
      assertTrue(haggling.atEnd());
      closer.join();
    }
  }

  @Test
  @Rule("SD1")
  void drainIsNotExceededByAnExportThatNeverCompletes() throws Exception {
    try (TestServer server = TestServer.writable();
        RawPeer peer = server.open()) {
      server.disk.hold = true;
      peer.send(request(Nbd.CMD_READ, 1, 0, 512), write(2, 0, new byte[5000]));
      Awaitility.await().until(() -> server.disk.held.size() == 2);
      close(server, Duration.ofMillis(100)).join();
      assertTrue(peer.atEnd());
      assertEquals(0, server.disk.disconnected.get());
      // What completes when the threads have gone still frees its buffers: close() checks it.
      server.disk.held.take().run();
      server.disk.held.take().run();
      Awaitility.await().until(() -> server.disk.disconnected.get() == 1);
    }
  }

  /// Unread bytes turn the close of a TCP socket into a reset, which throws away what the client
  /// has not received yet.
  @Test
  @Rule("SD1")
  void aReplyUnderWayArrivesAlsoWhenRequestsLieUnread() throws Exception {
    int length = 16 << 20;
    MemoryExport disk = new MemoryExport(length, MemoryExport.WRITABLE);
    ServerLimits oneAtATime =
        TestServer.LIMITS.withEventLoopCount(1).withBytesInFlightMax(length + (1 << 20));
    try (TestServer server = new TestServer(disk, oneAtATime);
        SocketChannel socket = SocketChannel.open();
        RawPeer other = server.open()) {
      socket.setOption(StandardSocketOptions.SO_RCVBUF, 64 << 10);
      socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), server.port()));
      RawPeer peer = new RawPeer(socket);
      peer.begin(false);
      peer.send(ConnectionEndTest.reads(2, length)); // for the second one there is no room
      TestServer.goRound(other);
      peer.send(ConnectionEndTest.reads(1000, length));
      Thread closer = close(server, Duration.ofSeconds(30));
      assertEquals(0, peer.reply(length).cookie());
      assertEquals(-1, peer.in.read(), "an end, not a reset");
      closer.join();
    }
  }

  @Test
  void closingTwiceIsFine() throws IOException {
    TestServer server = TestServer.writable();
    server.close();
    server.server.close(Duration.ZERO);
    assertFalse(Files.exists(server.socket));
    assertEquals(0, server.server.connectionCount());
  }
}
