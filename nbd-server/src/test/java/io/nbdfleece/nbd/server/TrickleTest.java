// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Clients that go on, but so slowly that others would wait for minutes for the memory they hold.
@Timeout(60)
final class TrickleTest {
  private static final int MAX_BYTES = 32 << 20;

  private static ServerLimits limits(Duration deadline) {
    return TestServer.LIMITS
        .withConnectionsMax(16)
        .withBytesInFlightTotalMax(MAX_BYTES + (4 << 20))
        .withStalledReaderDeadline(deadline);
  }

  private static MemoryExport disk() {
    return new MemoryExport(MAX_BYTES, MemoryExport.WRITABLE);
  }

  @Test
  void payloadThatTricklesInDoesNotHoldUpOthers() throws IOException {
    Duration deadline = Duration.ofSeconds(4);
    int pieceBytes = 6 << 10; // three quarters of what is asked for
    try (TestServer server = new TestServer(disk(), limits(deadline));
        RawPeer slow = server.open();
        RawPeer other = server.open()) {
      slow.send(request(Nbd.CMD_WRITE, 1, 0, MAX_BYTES), new byte[pieceBytes]);
      Awaitility.await().until(() -> server.server.flightBytes() > MAX_BYTES / 2);
      other.send(request(Nbd.CMD_READ, 7, 0, MAX_BYTES));
      CompletableFuture<Long> answered = new CompletableFuture<>();
      Thread _ =
          Thread.startVirtualThread(
              () -> {
                try {
                  answered.complete(other.reply(MAX_BYTES).cookie());
                } catch (IOException e) {
                  answered.completeExceptionally(e);
                }
              });
      while (!answered.isDone()) {
        Awaitility.await().pollDelay(deadline.dividedBy(32)).until(() -> true);
        try {
          slow.send(new byte[pieceBytes]);
        } catch (IOException dropped) {
          break;
        }
      }
      assertEquals(7, answered.join());
    }
  }

  /// A client whose socket takes as much as it is told to, and where time passes when it is told.
  private static final class Client extends EmbeddedChannel {
    private static final Duration DEADLINE = Duration.ofSeconds(80);

    private long roomBytes = 1 << 10;

    private Client(ServerState state) {
      super(
          new ChannelInitializer<Channel>() {
            @Override
            protected void initChannel(Channel channel) {
              Connection.attach(state, channel);
            }
          });
    }

    static Client open(ServerState state, MemoryExport disk) throws IOException {
      Client client = new Client(state);
      client.send(
          RawPeer.bytes(flags -> flags.writeInt(3)),
          RawPeer.option(Nbd.OPT_GO, RawPeer.go("disk")));
      assertTrue(disk.connected.get() > 0);
      return client;
    }

    void send(byte[]... parts) {
      writeInbound(Unpooled.wrappedBuffer(parts));
    }

    @Override
    protected void doWrite(ChannelOutboundBuffer out) {
      while (out.current() instanceof ByteBuf next && (roomBytes > 0 || !next.isReadable())) {
        long bytes = Math.min(roomBytes, next.readableBytes());
        roomBytes -= bytes;
        out.removeBytes(bytes);
      }
    }

    /// The client takes so much, and an eighth of the deadline passes.
    void take(long bytes) {
      roomBytes = bytes;
      flush();
      advanceTimeBy(DEADLINE.dividedBy(8).toNanos(), TimeUnit.NANOSECONDS);
      runScheduledPendingTasks();
      runPendingTasks();
    }
  }

  private final MemoryExport disk = disk();
  private final ServerState state =
      new ServerState(disk, limits(Client.DEADLINE), UnpooledByteBufAllocator.DEFAULT);

  /// One that holds the memory and has read nothing of its reply.
  private Client reader() throws IOException {
    Client reader = Client.open(state, disk);
    reader.send(request(Nbd.CMD_READ, 1, 0, MAX_BYTES));
    assertEquals(1, disk.started.get());
    return reader;
  }

  private Client waiting() throws IOException {
    Client waiting = Client.open(state, disk);
    waiting.send(request(Nbd.CMD_READ, 2, 0, MAX_BYTES));
    assertEquals(1, disk.started.get());
    return waiting;
  }

  @Test
  void repliesThatTrickleOutDoNotHoldUpOthers() throws IOException {
    Client slow = reader();
    Client other = waiting();
    for (int look = 0; look < 10; look++) {
      slow.take(500 << 10); // 50 KiB each second
    }
    assertFalse(slow.isOpen());
    other.runPendingTasks();
    assertEquals(2, disk.started.get());
    other.finishAndReleaseAll();
  }

  @Test
  void slowClientStaysWhileNobodyWaits() throws IOException {
    Client slow = reader();
    for (int look = 0; look < 20; look++) {
      slow.take(1);
    }
    assertTrue(slow.isOpen());
    slow.finishAndReleaseAll();
  }

  @Test
  void clientThatIsQuickEnoughStaysThoughOthersWait() throws IOException {
    Client quick = reader();
    Client other = waiting();
    for (int look = 0; look < 20; look++) {
      quick.take(700 << 10); // 70 KiB each second
    }
    assertTrue(quick.isOpen());
    quick.take(MAX_BYTES);
    other.runPendingTasks();
    assertEquals(2, disk.started.get());
    quick.finishAndReleaseAll();
    other.finishAndReleaseAll();
  }
}
