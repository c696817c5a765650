// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// There is no memory for large buffers: those requests fail, the operator hears of it, and the
/// connection goes on.
@Timeout(60)
final class NoMemoryTest {
  private static final int LARGE_BYTES = 8 << 20;

  private final PooledByteBufAllocator allocator =
      new PooledByteBufAllocator(true) {
        @Override
        public ByteBuf directBuffer(int initialCapacity, int maxCapacity) {
          if (initialCapacity >= LARGE_BYTES) {
            throw new OutOfMemoryError("by the test");
          }
          return super.directBuffer(initialCapacity, maxCapacity);
        }
      };

  private final MemoryExport disk = new MemoryExport(16 << 20, MemoryExport.WRITABLE);
  private final ServerState state =
      new ServerState(disk, ServerLimits.defaults().withEventLoopCount(1), allocator);
  private final EmbeddedChannel channel =
      new EmbeddedChannel(
          new ChannelInitializer<Channel>() {
            @Override
            protected void initChannel(Channel child) {
              child.config().setAllocator(allocator);
              Connection.attach(state, child);
            }
          });

  @AfterEach
  void close() {
    assertFalse(channel.finishAndReleaseAll());
    TestServer.assertNoLeak(allocator);
  }

  private void send(byte[] bytes) {
    for (int at = 0; at < bytes.length; ) {
      assertTrue(channel.config().isAutoRead(), "does not read");
      ByteBuf target = channel.config().getRecvByteBufAllocator().newHandle().allocate(allocator);
      int count = Math.min(target.writableBytes(), bytes.length - at);
      target.writeBytes(bytes, at, count);
      at += count;
      channel.writeInbound(target);
      channel.runPendingTasks();
    }
  }

  private byte[] received() throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (ByteBuf out; (out = channel.readOutbound()) != null; ) {
      out.readBytes(all, out.readableBytes());
      out.release();
    }
    return all.toByteArray();
  }

  private void open() throws IOException {
    send(RawPeer.bytes(out -> out.writeInt(3)));
    send(RawPeer.option(Nbd.OPT_GO, RawPeer.go("disk")));
    assertTrue(received().length > 0);
  }

  private void assertReply(NbdError error, long cookie) throws IOException {
    ByteBuffer reply = ByteBuffer.wrap(received());
    assertEquals(16, reply.remaining());
    assertEquals(error.number(), reply.getInt(4));
    assertEquals(cookie, reply.getLong(8));
  }

  @Test
  void writesAndReadsThatHaveNoBufferFailAndOneLineOfTheLogSaysSo() throws IOException {
    try (LoudLog log = new LoudLog()) {
      open();
      byte[] write = RawPeer.write(1, 0, new byte[LARGE_BYTES]);
      send(write);
      assertReply(NbdError.EIO, 1);
      List<String> said = log.said();
      assertEquals(1, said.size(), said::toString);
      assertTrue(said.getFirst().contains("no memory for the payload of a write"), said::toString);
      assertTrue(said.getFirst().contains("length=" + LARGE_BYTES), said::toString);
      send(write);
      assertReply(NbdError.EIO, 1);
      send(RawPeer.request(Nbd.CMD_READ, 2, 0, LARGE_BYTES));
      assertReply(NbdError.EIO, 2);
      assertEquals(List.of(), log.said());
      assertEquals(0, disk.started.get());
      send(RawPeer.write(3, 0, new byte[] {7}));
      assertEquals(7, disk.disk[0]);
      assertEquals(16, received().length);
    }
  }

  @Test
  void readThatHasNoBufferIsToldToo() throws IOException {
    try (LoudLog log = new LoudLog()) {
      open();
      send(RawPeer.request(Nbd.CMD_READ, 2, 0, LARGE_BYTES));
      assertReply(NbdError.EIO, 2);
      List<String> said = log.said();
      assertEquals(1, said.size(), said::toString);
      assertTrue(said.getFirst().contains("no memory for the reply to a read"), said::toString);
    }
  }
}
