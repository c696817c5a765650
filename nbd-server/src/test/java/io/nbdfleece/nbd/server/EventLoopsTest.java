// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.concat;
import static io.nbdfleece.nbd.server.RawPeer.disc;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Clients that only read are served by threads of their own, and nobody notices the move.
@Timeout(60)
class EventLoopsTest {
  private static final int READS = 5;
  private static final int LENGTH = 100;

  /// A snapshot: it can be released, not written.
  private static final Set<Ability> READ_ONLY = EnumSet.of(Ability.TRIM, Ability.FLUSH);

  private static String kindOfThread() {
    return Thread.currentThread().getName().replaceFirst("-\\d+-\\d+$", "");
  }

  /// Says which threads its reads begin on, and which ones its clients come and go on.
  private static final class Witness extends MemoryExport {
    final Set<String> threads = ConcurrentHashMap.newKeySet();

    Witness(Set<Ability> abilities) {
      super(1 << 16, abilities);
    }

    private void note() {
      threads.add(kindOfThread());
    }

    @Override
    public void connected() {
      note();
      super.connected();
    }

    @Override
    public void disconnected() {
      note();
      super.disconnected();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      note();
      super.read(offsetBytes, target, done);
    }
  }

  @Test
  void readersHaveThreadsOfTheirOwn() throws IOException {
    assertEquals(Set.of("nbd-reader"), threadsOf(READ_ONLY));
    assertEquals(Set.of("nbd-loop"), threadsOf(MemoryExport.WRITABLE));
  }

  @Test
  void eachKindOfThreadDoesFirstWhatItIsTold() throws Exception {
    Witness snapshot = new Witness(READ_ONLY);
    Set<String> started = ConcurrentHashMap.newKeySet();
    var starts =
        new ServerConfig.ThreadStarts(
            () -> started.add("guest on " + kindOfThread()),
            () -> started.add("reader on " + kindOfThread()));
    try (TestServer server = new TestServer(snapshot, TestServer.LIMITS, ServerTls.OFF, starts)) {
      assertEquals(Set.of("guest on nbd-loop"), started);
      try (RawPeer peer = server.open()) {
        peer.send(ConnectionEndTest.reads(READS, LENGTH), disc());
        ConnectionEndTest.assertAllReplies(peer, READS, LENGTH);
      }
      assertEquals(Set.of("guest on nbd-loop", "reader on nbd-reader"), started);
    }
  }

  private static Set<String> threadsOf(Set<Ability> abilities) throws IOException {
    Witness disk = new Witness(abilities);
    try (TestServer server = new TestServer(disk)) {
      try (RawPeer peer = server.open()) {
        peer.send(ConnectionEndTest.reads(READS, LENGTH), disc());
        ConnectionEndTest.assertAllReplies(peer, READS, LENGTH);
      }
      server.awaitNoConnections();
    }
    return disk.threads;
  }

  /// Everything in one piece, so that the requests are there before the connection moves.
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void requestsThatCameWithTheHandshakeAreAnswered(boolean exportName) throws IOException {
    byte[] session = session(exportName);
    try (TestServer server = new TestServer(new Witness(READ_ONLY))) {
      for (int i = 0; i < 200; i++) {
        try (RawPeer peer = server.connect()) {
          peer.send(session);
          skipHandshake(peer, exportName);
          ConnectionEndTest.assertAllReplies(peer, READS, LENGTH);
        }
      }
    }
  }

  private static byte[] session(boolean exportName) {
    byte[] open = exportName ? option(Nbd.OPT_EXPORT_NAME) : option(Nbd.OPT_GO, go("disk"));
    return concat(
        bytes(out -> out.writeInt(3)), open, ConnectionEndTest.reads(READS, LENGTH), disc());
  }

  private static void skipHandshake(RawPeer peer, boolean exportName) throws IOException {
    peer.in.readLong();
    peer.in.readLong();
    peer.in.readUnsignedShort();
    if (exportName) {
      peer.in.readLong();
      peer.in.readUnsignedShort();
    } else {
      List<RawPeer.OptionAnswer> answers = peer.answers(Nbd.OPT_GO);
      assertEquals(Nbd.REP_ACK, answers.getLast().type());
    }
  }

  /// Whoever is gone before, while or after its connection moves leaves nothing behind: the server
  /// checks that at its end.
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void clientsMayLeaveAtEachByte(boolean halfClose) throws IOException {
    byte[] session = session(false);
    Witness disk = new Witness(READ_ONLY);
    try (TestServer server = new TestServer(disk)) {
      for (int length = 0; length <= session.length; length++) {
        try (RawPeer peer = server.connect()) {
          peer.send(Arrays.copyOf(session, length));
          if (halfClose) {
            peer.socket.shutdownOutput();
            assertTrue(peer.in.readAllBytes().length > 0);
          }
        }
      }
      server.awaitNoConnections();
      assertEquals(0, server.server.flightBytes());
      int requestBytes = ConnectionEndTest.reads(READS, LENGTH).length + disc().length;
      if (halfClose) {
        assertEquals(requestBytes + 1, disk.connected.get());
      }
    }
  }

  /// A server that closes while connections move.
  @Test
  void serverMayCloseWhileConnectionsMove() throws IOException {
    byte[] session = session(false);
    for (int round = 0; round < 20; round++) {
      Witness disk = new Witness(READ_ONLY);
      TestServer server = new TestServer(disk);
      RawPeer[] peers = new RawPeer[20];
      for (int i = 0; i < peers.length; i++) {
        peers[i] = server.connect();
        peers[i].send(session);
      }
      server.server.close(Duration.ofSeconds(5));
      assertEquals(0, server.server.connectionCount(), "round " + round);
      server.close();
      for (RawPeer peer : peers) {
        peer.close();
      }
    }
  }
}
