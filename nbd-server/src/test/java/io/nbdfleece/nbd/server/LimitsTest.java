// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.write;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/// What one client may cost.
class LimitsTest {
  private static ServerLimits limits(
      int requests, long bytes, Duration handshake, Duration stalled) {
    // One event loop, so that a blocked one would be seen by everybody.
    return ServerLimits.defaults()
        .withEventLoopCount(1)
        .withHandshakeDeadline(handshake)
        .withRequestsInFlightMax(requests)
        .withBytesInFlightMax(bytes)
        .withStalledReaderDeadline(stalled);
  }

  private static TestServer server(int requests, long bytes) throws IOException {
    return new TestServer(
        new MemoryExport(1 << 20, MemoryExport.WRITABLE),
        limits(requests, bytes, Duration.ofSeconds(30), Duration.ofSeconds(30)));
  }

  private static byte[] times(int count, byte[] request) {
    byte[][] all = new byte[count][];
    java.util.Arrays.fill(all, request);
    return RawPeer.concat(all);
  }

  @Test
  void moreRequestsThanAllowedWaitForReplies() throws IOException {
    try (TestServer server = server(4, 1 << 20);
        RawPeer peer = server.open();
        RawPeer other = server.open()) {
      server.disk.hold = true;
      peer.send(times(10, request(Nbd.CMD_READ, 1, 0, 512)));
      Awaitility.await().until(() -> server.disk.held.size() == 4);
      other.send(request(Nbd.CMD_READ, 2, 0, 0));
      assertEquals(2, other.reply().cookie(), "and the event loop has seen all there is");
      assertEquals(4, server.disk.started.get());
      server.disk.held.remove().run();
      peer.reply(512);
      Awaitility.await().until(() -> server.disk.started.get() == 5);
      server.disk.hold = false;
      while (!server.disk.held.isEmpty()) {
        server.disk.held.remove().run();
      }
      for (int index = 0; index < 9; index++) {
        peer.reply(512);
      }
    }
  }

  @Test
  void moreBytesThanAllowedWaitButOneRequestAlwaysPasses() throws IOException {
    try (TestServer server = server(100, 100_000);
        RawPeer peer = server.open();
        RawPeer other = server.open()) {
      server.disk.hold = true;
      peer.send(times(3, write(1, 0, new byte[40_000])), request(Nbd.CMD_READ, 1, 0, 1 << 20));
      Awaitility.await().until(() -> server.disk.held.size() == 2);
      other.send(request(Nbd.CMD_READ, 2, 0, 0));
      other.reply();
      assertEquals(2, server.disk.started.get());
      for (int index = 0; index < 4; index++) {
        Awaitility.await().until(() -> !server.disk.held.isEmpty());
        server.disk.held.remove().run();
      }
      for (int index = 0; index < 3; index++) {
        assertEquals(0, peer.reply().error());
      }
      assertEquals(0, peer.reply(1 << 20).error());
    }
  }

  @Test
  void clientThatReadsNoRepliesIsNotReadAndDoesNotBlockOthers() throws IOException {
    try (TestServer server = server(8, 8 << 20);
        RawPeer stalled = server.open();
        RawPeer other = server.open()) {
      stalled.send(times(1000, request(Nbd.CMD_READ, 1, 0, 1 << 20)));
      for (int index = 0; index < 500; index++) {
        other.send(request(Nbd.CMD_READ, index, 0, 4096));
        assertEquals(index, other.reply(4096).cookie());
      }
      int started = server.disk.started.get() - 500;
      assertTrue(started <= 9, () -> "requests begun for a client that reads nothing: " + started);
      for (int index = 0; index < 1000; index++) {
        stalled.reply(1 << 20);
      }
    }
  }

  @Test
  void floodOfSmallRequestsWithoutReadingIsBounded() throws IOException {
    try (TestServer server = server(8, 8 << 20);
        RawPeer stalled = server.open();
        RawPeer other = server.open()) {
      stalled.socket.configureBlocking(false);
      byte[] flood = times(1000, request(Nbd.CMD_FLUSH, 1, 0, 0));
      int refusals = 0;
      while (refusals < 100) {
        if (stalled.socket.write(ByteBuffer.wrap(flood)) == 0) {
          refusals++;
          other.send(request(Nbd.CMD_READ, 5, 0, 4096));
          assertEquals(5, other.reply(4096).cookie());
        }
      }
    }
  }

  @Test
  void stalledReaderIsDropped() throws IOException {
    MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);
    try (TestServer server =
            new TestServer(
                disk, limits(8, 8 << 20, Duration.ofSeconds(30), Duration.ofMillis(200)));
        RawPeer stalled = server.open();
        RawPeer idle = server.open()) {
      stalled.send(times(10, request(Nbd.CMD_READ, 1, 0, 1 << 20)));
      Awaitility.await().until(() -> server.server.connectionCount() == 1);
      idle.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
      assertEquals(0, idle.reply().error(), "one with nothing to read is not stalled");
    }
  }

  @Test
  @Rule({"O12", "CVE-2024-7409"})
  void handshakeHasADeadlineAndAnOpenExportHasNone() throws IOException {
    MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);
    try (TestServer server =
            new TestServer(
                disk, limits(8, 8 << 20, Duration.ofMillis(300), Duration.ofSeconds(30)));
        RawPeer open = server.open();
        RawPeer silent = server.connect();
        RawPeer halfway = server.connect()) {
      halfway.greet(3);
      halfway.send(RawPeer.option(Nbd.OPT_LIST));
      halfway.optionReply();
      halfway.optionReply();
      assertTrue(halfway.atEnd());
      silent.in.readNBytes(18);
      assertTrue(silent.atEnd());
      open.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
      assertEquals(0, open.reply().error());
    }
  }

  @Test
  void statusRequestsCountForTheirShortestAnswer() throws IOException {
    ContextSelection contexts = ContextSelection.of(List.of("base:allocation"));
    int costBytes = CommandBlockStatus.costBytes(HeaderStyle.EXTENDED, contexts);
    try (TestServer server = server(100, 4L * costBytes);
        RawPeer peer = RawPeer.openExtended(server.socket, "base:allocation");
        RawPeer other = server.open()) {
      server.disk.hold = true;
      byte[] status = RawPeer.extended(Nbd.CMD_BLOCK_STATUS, 0, 1, 0, 4096, new byte[0]);
      peer.send(times(10, status));
      Awaitility.await().until(() -> server.disk.held.size() == 4);
      other.send(request(Nbd.CMD_READ, 2, 0, 0));
      other.reply();
      assertEquals(4, server.disk.held.size());
      server.disk.hold = false;
      for (Runnable held; (held = server.disk.held.poll()) != null; ) {
        held.run();
      }
      for (int index = 0; index < 10; index++) {
        assertEquals(Nbd.REPLY_BLOCK_STATUS_EXT, peer.chunk().type());
      }
    }
  }
}
