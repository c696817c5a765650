// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.disc;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.write;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/// How connections end: no reply lost, nothing half done, nothing leaked.
class ConnectionEndTest {

  /// Everything a session has, as one stream.
  static byte[] script() {
    return RawPeer.concat(
        RawPeer.bytes(out -> out.writeInt(3)),
        option(Nbd.OPT_STRUCTURED_REPLY),
        option(Nbd.OPT_LIST),
        option(77, new byte[5]),
        option(Nbd.OPT_SET_META_CONTEXT, queries("disk", "base:allocation")),
        option(Nbd.OPT_INFO, go("none")),
        option(Nbd.OPT_GO, go("disk", 3)),
        write(1, 10, new byte[] {1, 2, 3, 4, 5, 6, 7, 8}),
        request(Nbd.CMD_READ, 2, 8, 12),
        request(Nbd.CMD_BLOCK_STATUS, 3, 0, 512),
        write(4, 1 << 20, new byte[] {9, 9, 9, 9, 9}),
        request(Nbd.CMD_WRITE_ZEROES, 5, 12, 2),
        request(Nbd.CMD_READ, 6, 8, 12),
        request(Nbd.CMD_FLUSH, 7, 0, 0),
        disc());
  }

  static void completeElsewhere(MemoryExport disk) {
    disk.hold = true;
    Thread.ofVirtual()
        .start(
            () -> {
              try {
                while (true) {
                  disk.held.take().run();
                }
              } catch (InterruptedException end) {
                Thread.currentThread().interrupt();
              }
            });
  }

  static byte[] reads(int count, int length) {
    byte[][] requests = new byte[count][];
    for (int index = 0; index < count; index++) {
      requests[index] = request(Nbd.CMD_READ, index, 0, length);
    }
    return RawPeer.concat(requests);
  }

  static void assertAllReplies(RawPeer peer, int count, int length) throws IOException {
    Set<Long> cookies = new HashSet<>();
    for (int index = 0; index < count; index++) {
      cookies.add(peer.reply(length).cookie());
    }
    assertEquals(count, cookies.size());
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule("D1")
  void disconnectBehind64ReadsLosesNoReply() throws IOException {
    try (TestServer server = TestServer.writable()) {
      completeElsewhere(server.disk);
      for (int round = 0; round < 1000; round++) {
        try (RawPeer peer = server.open()) {
          peer.send(RawPeer.concat(reads(64, 4096), disc()));
          assertAllReplies(peer, 64, 4096);
        }
      }
    }
  }

  @Test
  @Rule("C13")
  void halfClosedClientGetsAllReplies() throws IOException {
    try (TestServer server = TestServer.writable()) {
      completeElsewhere(server.disk);
      for (int round = 0; round < 200; round++) {
        try (RawPeer peer = server.open()) {
          peer.send(reads(200, 4096));
          peer.socket.shutdownOutput();
          assertAllReplies(peer, 200, 4096);
        }
      }
    }
  }

  @Test
  @Rule("C13")
  void halfClosedClientGetsLargeInlineReplies() throws IOException {
    try (TestServer server = TestServer.writable();
        RawPeer peer = server.open()) {
      peer.send(reads(100, 1 << 20));
      peer.socket.shutdownOutput();
      assertAllReplies(peer, 100, 1 << 20);
    }
  }

  /// Between the end of the input and its reply the connection waits for nothing at all.
  @Test
  void halfClosedClientGetsALargeReplyThatTakesItsTime() throws IOException {
    MemoryExport disk = new MemoryExport(16 << 20, MemoryExport.WRITABLE);
    try (TestServer server = new TestServer(disk, TestServer.LIMITS.withEventLoopCount(1));
        RawPeer other = server.open();
        RawPeer peer = server.open()) {
      disk.hold = true;
      peer.send(reads(1, 16 << 20));
      peer.socket.shutdownOutput();
      Awaitility.await().until(() -> disk.held.size() == 1);
      TestServer.goRound(other);
      disk.held.remove().run();
      assertAllReplies(peer, 1, 16 << 20);
    }
  }

  @Test
  @Rule("C13")
  void heldRequestsOfOneConnectionCompleteInAnyOrder() throws IOException {
    try (TestServer server = TestServer.writable();
        RawPeer peer = server.open()) {
      server.disk.hold = true;
      peer.send(reads(32, 512));
      Awaitility.await().until(() -> server.disk.held.size() == 32);
      Runnable[] held = server.disk.held.toArray(new Runnable[0]);
      server.disk.held.clear();
      for (int index = 31; index >= 0; index--) {
        held[index].run();
      }
      for (int index = 31; index >= 0; index--) {
        assertEquals(index, peer.reply(512).cookie());
      }
    }
  }

  @Test
  @Rule("C12")
  void payloadCutShortIsNeverApplied() throws IOException {
    try (TestServer server = TestServer.writable()) {
      for (int length : new int[] {10, 5000, 100_000, 500_000}) {
        byte[] data = new byte[length];
        Arrays.fill(data, (byte) 1);
        byte[] whole = write(1, 0, data);
        try (RawPeer peer = server.open()) {
          peer.send(Arrays.copyOf(whole, whole.length - 1));
          peer.socket.shutdownOutput();
          assertTrue(peer.atEnd());
        }
      }
      assertEquals(0, server.disk.started.get());
      assertArrayEquals(new byte[1 << 20], server.disk.disk);
    }
  }

  @Test
  @Rule({"AB2", "CVE-2013-7441"})
  void clientMayVanishAtEveryByte() throws IOException {
    byte[] script = script();
    try (TestServer server = TestServer.writable()) {
      for (int length = 0; length <= script.length; length++) {
        try (RawPeer peer = server.connect()) {
          peer.send(Arrays.copyOf(script, length));
        }
      }
      server.awaitNoConnections();
    }
  }

  @Test
  void requestsMayCompleteAfterTheirClientHasGone() throws IOException {
    byte[] script = script();
    try (TestServer server = TestServer.writable()) {
      server.disk.hold = true;
      for (int length = script.length / 2; length <= script.length; length++) {
        try (RawPeer peer = server.connect()) {
          peer.send(Arrays.copyOf(script, length));
        }
      }
      Awaitility.await()
          .until(
              () -> {
                for (Runnable held; (held = server.disk.held.poll()) != null; ) {
                  held.run();
                }
                return server.server.connectionCount() == 0;
              });
    }
  }

  @Test
  void disconnectedComesAfterTheLastCompletion() throws IOException {
    try (TestServer server = TestServer.writable()) {
      server.disk.hold = true;
      try (RawPeer peer = server.open()) {
        peer.send(reads(3, 512));
        Awaitility.await().until(() -> server.disk.held.size() == 3);
      }
      server.disk.held.take().run();
      server.disk.held.take().run();
      assertEquals(0, server.disk.disconnected.get());
      server.disk.held.take().run();
      Awaitility.await().until(() -> server.disk.disconnected.get() == 1);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
