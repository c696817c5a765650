// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.write;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ExportClient;
import io.nbdfleece.nbd.wire.Nbd;
import java.time.Duration;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// [ExportClient#disconnect].
@Timeout(60)
final class WithdrawnExportTest {

  /// Knows its clients.
  private static final class Disk extends MemoryExport {
    final Queue<ExportClient> clients = new ConcurrentLinkedQueue<>();
    volatile boolean unwelcome;
    volatile boolean endsOnFlush;

    Disk() {
      super(1 << 20, WRITABLE);
    }

    @Override
    public void connected(ExportClient client) {
      connected();
      clients.add(client);
      if (unwelcome) {
        client.disconnect();
      }
    }

    @Override
    public void flush(Completion done) {
      if (endsOnFlush) {
        clients.forEach(ExportClient::disconnect);
        clients.forEach(ExportClient::disconnect);
      }
      super.flush(done);
    }
  }

  @Test
  @Rule("SD3")
  void requestsInFlightAreAnsweredNewOnesRefusedAndThenTheConnectionEnds() throws Exception {
    Disk disk = new Disk();
    try (TestServer server = new TestServer(disk);
        RawPeer peer = server.open()) {
      disk.hold = true;
      peer.send(request(Nbd.CMD_READ, 1, 0, 512));
      Awaitility.await().until(() -> disk.held.size() == 1);
      disk.hold = false;
      disk.endsOnFlush = true; // on the event loop, so that what comes later is later
      peer.send(request(Nbd.CMD_FLUSH, 2, 0, 0));
      assertEquals(2, peer.reply().cookie());
      peer.send(write(3, 0, new byte[512]));
      assertEquals(108, peer.reply().error());
      assertEquals(0, disk.disconnected.get());
      disk.held.remove().run();
      assertEquals(1, peer.reply(512).cookie());
      assertTrue(peer.atEnd());
      Awaitility.await().until(() -> disk.disconnected.get() == 1);
    }
  }

  @Test
  void idleConnectionEndsAtOnceAndOthersGoOn() throws Exception {
    Disk disk = new Disk();
    try (TestServer server = new TestServer(disk);
        RawPeer first = server.open()) {
      ExportClient toEnd = disk.clients.remove();
      try (RawPeer second = server.open()) {
        toEnd.disconnect();
        assertTrue(first.atEnd());
        second.send(request(Nbd.CMD_FLUSH, 7, 0, 0));
        assertEquals(7, second.reply().cookie());
        Awaitility.await().until(() -> disk.disconnected.get() == 1);
      }
    }
  }

  @Test
  void clientThatIsNotWantedFromTheStartGetsNoRequestThrough() throws Exception {
    Disk disk = new Disk();
    disk.unwelcome = true;
    try (TestServer server = new TestServer(disk);
        RawPeer peer = server.connect()) {
      peer.greet(3);
      // In one go, so that the request is there before anything else happens.
      peer.send(
          RawPeer.concat(
              RawPeer.option(Nbd.OPT_GO, RawPeer.go("disk")), request(Nbd.CMD_READ, 1, 0, 512)));
      while (peer.optionReply().type() == Nbd.REP_INFO) {
        // until the acknowledgement
      }
      Awaitility.await().until(() -> disk.disconnected.get() == 1);
      assertEquals(0, disk.started.get());
    }
  }

  @Test
  void clientThatStopsWithinAPayloadIsDroppedInTheEnd() throws Exception {
    Disk disk = new Disk();
    ServerLimits limits = TestServer.LIMITS.withStalledReaderDeadline(Duration.ofMillis(200));
    try (TestServer server = new TestServer(disk, limits);
        RawPeer peer = server.open()) {
      byte[] whole = write(1, 0, new byte[1 << 20]);
      peer.send(Arrays.copyOf(whole, whole.length - 1));
      Awaitility.await().until(() -> server.server.flightBytes() > 0);
      disk.clients.remove().disconnect();
      assertTrue(peer.atEnd());
      assertEquals(0, disk.started.get());
    }
  }
}
