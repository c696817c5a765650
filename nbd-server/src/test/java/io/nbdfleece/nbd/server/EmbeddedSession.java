// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;

/// Plays one [FuzzScript] against a connection without a socket, on one thread, so that a seed
/// always does the same. What Netty does with a socket is done here by hand: bytes go into the
/// buffers that the connection hands out, as long as it wants to read.
final class EmbeddedSession {
  /// A flood of long reads is cut short here, as by a client that has had enough.
  private static final int REPLY_BYTES_MAX = 64 << 20;

  private final SplittableRandom random;
  private final ServerLimits limits;
  private final PooledByteBufAllocator allocator;
  private final List<Runnable> held = new ArrayList<>();
  private final ByteArrayOutputStream received = new ByteArrayOutputStream();
  private final FuzzCatalog catalog;
  private final ServerState state;
  private final EmbeddedChannel channel;
  private final int heldPercent;
  private final FuzzSession.Tls tls;

  EmbeddedSession(SplittableRandom random, ServerLimits limits, PooledByteBufAllocator allocator) {
    this.random = random;
    this.limits = limits;
    this.allocator = allocator;
    heldPercent = random.nextBoolean() ? 0 : random.nextInt(100);
    catalog = new FuzzCatalog(this::complete);
    state = new ServerState(catalog, limits, allocator);
    tls = FuzzSession.Tls.NONE;
    channel = channel();
  }

  /// With a server that other sessions have used before, and that offers TLS.
  EmbeddedSession(
      SplittableRandom random,
      FuzzCatalog catalog,
      ServerState state,
      PooledByteBufAllocator allocator) {
    this.random = random;
    this.limits = state.limits();
    this.allocator = allocator;
    this.catalog = catalog;
    this.state = state;
    heldPercent = 0;
    tls = FuzzSession.Tls.OFFERED;
    catalog.renew();
    channel = channel();
  }

  private EmbeddedChannel channel() {
    return new EmbeddedChannel(
        new ChannelInitializer<Channel>() {
          @Override
          protected void initChannel(Channel child) {
            child.config().setAllocator(allocator);
            Connection.attach(state, child);
          }
        });
  }

  private void complete(Runnable completion) {
    if (random.nextInt(100) < heldPercent) {
      held.add(completion);
    } else {
      completion.run();
    }
  }

  private void completeOne() {
    held.remove(random.nextInt(held.size())).run();
    runTasks();
  }

  /// Those that tasks make, too, as an event loop does.
  private void runTasks() {
    do {
      channel.runPendingTasks();
    } while (channel.hasPendingTasks());
  }

  private void completeAll() {
    while (!held.isEmpty()) {
      completeOne();
    }
  }

  void play(FuzzScript script) throws IOException {
    feed(script.bytes);
    drain();
    boolean closedByServer = !channel.isOpen();
    FuzzSession.Leaving leaving = FuzzSession.Leaving.RUDE;
    switch (script.ending) {
      case HALF_CLOSE -> {
        channel.pipeline().fireUserEventTriggered(ChannelInputShutdownEvent.INSTANCE);
        completeAll();
        drain();
        assertFalse(channel.isOpen(), "not closed after all replies");
        leaving =
            received.size() < REPLY_BYTES_MAX
                ? FuzzSession.Leaving.POLITE
                : FuzzSession.Leaving.RUDE;
      }
      case CLOSE -> channel.close().syncUninterruptibly();
      case RESET -> {
        if (!closedByServer) {
          channel.pipeline().fireExceptionCaught(new IOException("Connection reset by peer"));
        }
      }
      case STALL -> {
        boolean serving = state.connections().stream().anyMatch(Connection::isServing);
        channel.advanceTimeBy(limits.handshakeDeadline().toSeconds() + 1, TimeUnit.SECONDS);
        channel.runScheduledPendingTasks();
        boolean left = serving && !closedByServer;
        assertEquals(left, channel.isOpen(), "after the deadline of the handshake");
      }
    }
    channel.close().syncUninterruptibly();
    completeAll();
    drain();
    runTasks();
    assertFalse(channel.finishAndReleaseAll(), "messages left in the channel");
    channel.checkException();
    assertEquals(0, state.connections().size(), "connections left");
    assertEquals(catalog.connectedCount(), catalog.disconnectedCount(), "disconnected()");
    new FuzzSession(script.bytes, received.toByteArray(), leaving, catalog.disks(), tls).judge();
  }

  private void feed(byte[] bytes) throws IOException {
    boolean tiny = random.nextInt(10) == 0;
    for (int at = 0; at < bytes.length && channel.isOpen(); ) {
      int segmentBytes = Math.min(bytes.length - at, 1 + random.nextInt(tiny ? 20 : 20_000));
      int end = at + segmentBytes;
      while (at < end && channel.isOpen()) {
        if (!channel.config().isAutoRead()) {
          assertFalse(held.isEmpty(), "does not read although nothing is in flight");
          completeOne();
        } else {
          at += read(bytes, at, end);
        }
        drain();
      }
      while (!held.isEmpty() && random.nextInt(3) == 0) {
        completeOne();
      }
    }
  }

  /// One read of the socket.
  private int read(byte[] bytes, int start, int end) {
    RecvByteBufAllocator buffers = channel.config().getRecvByteBufAllocator();
    ByteBuf target = buffers.newHandle().allocate(allocator);
    assertTrue(target.writableBytes() > 0, "no room to read into");
    int count = Math.min(target.writableBytes(), end - start);
    target.writeBytes(bytes, start, count);
    channel.writeInbound(target);
    return count;
  }

  private void drain() throws IOException {
    runTasks();
    for (ByteBuf out; (out = channel.readOutbound()) != null; ) {
      if (received.size() < REPLY_BYTES_MAX) {
        out.readBytes(received, out.readableBytes());
      }
      out.release();
    }
    if (received.size() >= REPLY_BYTES_MAX) {
      channel.close().syncUninterruptibly();
    }
  }
}
