// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.tls.TestAuthority;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What has broken other NBD servers, by the number under which it is known.
@Timeout(300)
final class HostilePeersCveTest {
  private static final int CONNECTIONS = 10_000;
  private static final int OFFSETS = 200;

  private static void assertServes(TestServer server) throws IOException {
    try (RawPeer peer = server.openStructured()) {
      peer.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
      assertEquals(0, peer.reply().errorNumber());
    }
  }

  /// An option whose header says another length than the data has.
  private static byte[] lyingOption(int option, int lengthBytes, byte... data) {
    return RawPeer.bytes(
        out -> {
          out.writeLong(Nbd.IHAVEOPT);
          out.writeInt(option);
          out.writeInt(lengthBytes);
          out.write(data);
        });
  }

  @Test
  void cve2011v1925Cve2017v7539Cve2017v9524ClientsThatLeaveDuringTheHandshake() throws IOException {
    byte[] script = Arrays.copyOf(ConnectionEndTest.script(), OFFSETS);
    try (LoudLog log = new LoudLog();
        TestServer server = TestServer.writable()) {
      for (int count = 0; count < CONNECTIONS; count++) {
        try (RawPeer peer = server.connect()) {
          peer.send(Arrays.copyOf(script, count % OFFSETS));
        }
      }
      server.awaitNoConnections();
      assertServes(server);
      log.assertSilent("a client that leaves is nothing to warn of");
    }
  }

  @Test
  void cve2013v7441UnknownExportEndsNothingButItsSession() throws IOException {
    try (LoudLog log = new LoudLog();
        TestServer server = TestServer.writable()) {
      for (int count = 0; count < 200; count++) {
        try (RawPeer peer = server.connect()) {
          peer.greet(3);
          peer.send(option(Nbd.OPT_EXPORT_NAME, "none".getBytes(StandardCharsets.UTF_8)));
          assertTrue(peer.atEnd());
        }
      }
      assertServes(server);
      log.assertSilent("unknown export");
    }
  }

  @Test
  void cve2005v3534Cve2011v0530RequestLongerThanAnyBuffer() throws IOException {
    try (TestServer server = TestServer.writable()) {
      for (long length : new long[] {(32 << 20) + 1, 1L << 31, (1L << 32) - 1}) {
        try (RawPeer peer = server.open()) {
          peer.send(request(Nbd.CMD_READ, 1, 0, length));
          assertEquals(22, peer.reply().error());
          peer.send(request(Nbd.CMD_WRITE, 2, 0, length));
          peer.socket.shutdownOutput();
          assertTrue(peer.atEnd());
        }
      }
      assertEquals(0, server.disk.started.get());
      assertServes(server);
    }
  }

  @Test
  void cve2017v15118NamesLongerThanAnyBuffer() throws IOException {
    try (TestServer server = TestServer.writable()) {
      for (int length : new int[] {257, 1025, 3000, 4096, 4097, 60_000}) {
        try (RawPeer peer = server.connect()) {
          peer.greet(3);
          peer.send(option(Nbd.OPT_GO, go("x".repeat(length))));
          RawPeer.OptionAnswer answer = peer.optionReply();
          assertEquals(
              length <= 4096 ? Nbd.REP_ERR_UNKNOWN : Nbd.REP_ERR_INVALID, answer.type(), "GO");
          // CVE-2020-10761: the text of the error may not grow with the name.
          assertTrue(answer.data().length <= 4096, "length of the text");
          peer.send(option(Nbd.OPT_EXPORT_NAME, new byte[length]));
          assertTrue(peer.atEnd());
        }
      }
      assertServes(server);
    }
  }

  @Test
  void cve2017v15119EndlessOptionsAreNotRead() throws IOException {
    try (TestServer server = TestServer.writable()) {
      for (int length : new int[] {(1 << 20) + 1, Integer.MAX_VALUE, -1}) {
        try (RawPeer peer = server.connect()) {
          peer.greet(3);
          peer.send(lyingOption(Nbd.OPT_LIST, length));
          assertTrue(peer.atEnd());
        }
      }
      assertServes(server);
    }
  }

  @Test
  void cve2019v14850NothingIsOpenedBeforeTheHandshakeIsOver() throws IOException {
    List<RawPeer> peers = new ArrayList<>();
    try (TestServer server = TestServer.writable()) {
      for (int count = 0; count < 100; count++) {
        RawPeer peer = server.connect();
        peers.add(peer);
        peer.greet(3);
        peer.send(option(Nbd.OPT_INFO, go("disk")));
        while (peer.optionReply().type() == Nbd.REP_INFO) {
          // Up to the acknowledgement.
        }
      }
      assertEquals(0, server.disk.connected.get());
      for (RawPeer peer : peers) {
        peer.close();
      }
    }
  }

  @Test
  void cve2019v14851OptionsInAnOrderNobodyExpects() throws IOException {
    try (TestServer server = TestServer.writable();
        RawPeer peer = server.connect()) {
      peer.greet(3);
      for (String name : List.of("none", "disk", "disk", "none")) {
        peer.send(option(Nbd.OPT_INFO, go(name, 3, 3, 3, 77)));
        RawPeer.OptionAnswer answer;
        do {
          answer = peer.optionReply();
        } while (answer.type() == Nbd.REP_INFO);
        assertEquals(name.equals("disk"), answer.type() == Nbd.REP_ACK, name);
      }
      peer.go();
      peer.send(request(Nbd.CMD_READ, 1, 0, 512));
      assertEquals(0, peer.reply(512).error());
    }
  }

  @Test
  void cve2021v3716NothingAgreedBeforeStartTlsHoldsBehindIt(@TempDir Path directory)
      throws IOException {
    Path files = new TestAuthority("authority").serverDirectory(directory.resolve("server"));
    ServerTls tls =
        new ServerTls(ServerTls.Mode.ON, Optional.of(new TlsCredentials.X509(files)), false);
    MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);
    try (TestServer server = new TestServer(disk, TestServer.LIMITS, tls);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertEquals(Nbd.REP_ACK, peer.ask(FuzzWire.OPT_EXTENDED_HEADERS).type());
      assertEquals(
          Nbd.REP_META_CONTEXT,
          peer.ask(Nbd.OPT_SET_META_CONTEXT, RawPeer.queries("disk", "base:allocation")).type());
      assertEquals(Nbd.REP_ACK, peer.optionReply().type());
      peer.startTls("TLSv1.3", Optional.empty());
      assertEquals(Nbd.REP_ACK, peer.go("disk").type());
      // A header of 28 bytes is whole, the reply a simple one, and no context is selected.
      peer.send(request(Nbd.CMD_READ, 1, 0, 512), request(Nbd.CMD_BLOCK_STATUS, 2, 0, 512));
      assertEquals(-1, peer.reply(512).type());
      assertEquals(22, peer.reply(0).error());
    }
  }

  @Test
  void cve2022v26495Cve2022v26496NameLengthsThatOverflow() throws IOException {
    try (TestServer server = TestServer.writable();
        RawPeer peer = server.connect()) {
      peer.greet(3);
      for (int option : new int[] {Nbd.OPT_INFO, Nbd.OPT_GO, Nbd.OPT_LIST_META_CONTEXT}) {
        for (int nameBytes : new int[] {-1, -4, Integer.MAX_VALUE, Integer.MIN_VALUE, 1025, 7}) {
          byte[] data =
              RawPeer.bytes(
                  out -> {
                    out.writeInt(nameBytes);
                    out.writeInt(0);
                  });
          peer.send(option(option, data));
          assertEquals(Nbd.REP_ERR_INVALID, peer.optionReply().type(), "name of " + nameBytes);
        }
      }
      peer.go();
    }
  }

  @Test
  void cve2024v7409UnfinishedHandshakesDoNotKeepTheServerFromStopping() throws IOException {
    List<RawPeer> peers = new ArrayList<>();
    TestServer server = TestServer.writable();
    try (LoudLog log = new LoudLog()) {
      for (int count = 0; count < 60; count++) {
        RawPeer peer = server.connect();
        peers.add(peer);
        if (count % 3 > 0) {
          peer.greet(3);
        }
        if (count % 3 > 1) {
          peer.send(lyingOption(Nbd.OPT_GO, 100, new byte[50]));
        }
      }
      Awaitility.await().until(() -> server.server.connectionCount() == 60);
      // Waits for the requests of open exports only: no handshake keeps it, though it may wait an
      // hour.
      server.server.close(Duration.ofHours(1));
      assertFalse(Files.exists(server.socket));
      assertEquals(0, server.server.connectionCount());
      for (RawPeer peer : peers) {
        assertArrayEquals(new byte[0], lastBytes(peer), "more than the greeting");
        peer.close();
      }
      Awaitility.await()
          .until(
              () ->
                  Thread.getAllStackTraces().keySet().stream()
                      .noneMatch(thread -> thread.getName().startsWith("nbd-loop")));
      log.assertSilent("closing");
    } finally {
      server.close();
    }
  }

  /// What came behind the greeting.
  private static byte[] lastBytes(RawPeer peer) {
    try {
      byte[] rest = peer.in.readAllBytes();
      return rest.length >= 18 ? Arrays.copyOfRange(rest, 18, rest.length) : rest;
    } catch (IOException reset) {
      return new byte[0];
    }
  }

  @Test
  void cve2025v47711Cve2025v47712StatusAround4GiB() throws IOException {
    try (SocketFuzz server = new SocketFuzz(TestServer.LIMITS);
        RawPeer peer = new RawPeer(server.connect(true))) {
      peer.greet(3);
      peer.send(option(Nbd.OPT_STRUCTURED_REPLY));
      peer.optionReply();
      peer.send(option(Nbd.OPT_SET_META_CONTEXT, RawPeer.queries("huge", "base:allocation")));
      assertEquals(Nbd.REP_META_CONTEXT, peer.optionReply().type());
      peer.optionReply();
      peer.send(option(Nbd.OPT_GO, go("huge")));
      while (peer.optionReply().type() == Nbd.REP_INFO) {
        // Up to the acknowledgement.
      }
      long cookie = 0;
      for (long offset : new long[] {0, 1, (1L << 32) - 1, 1L << 32, (1L << 62) + 511}) {
        for (long length : new long[] {(1L << 32) - 1, (1L << 32) - 512, (1L << 31) + 1, 1}) {
          peer.send(request(Nbd.CMD_BLOCK_STATUS, ++cookie, offset, length));
          RawPeer.Answer answer = peer.reply();
          assertEquals(Nbd.REPLY_BLOCK_STATUS, answer.type());
          long covered = Integer.toUnsignedLong(answer.buffer().getInt(4));
          assertTrue(covered > 0 && covered <= length, offset + " " + length + ": " + covered);
        }
      }
      peer.send(RawPeer.disc());
      assertTrue(peer.atEnd());
    }
  }
}
