// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/// A session says the same however its bytes are cut.
class SplitStreamTest {
  private static final int HANDSHAKE_REPLIES = 10;

  /// What a session that was fed those parts answered, by cookie, and the disk it left.
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Outcome(Map<Long, String> replies, byte[] disk) {}

  private static Outcome play(byte[]... parts) throws IOException {
    MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);
    PooledByteBufAllocator allocator = new PooledByteBufAllocator(true, 0, 1, 8192, 5, 0, 0, false);
    ServerState state = new ServerState(disk, TestServer.LIMITS, allocator);
    EmbeddedChannel channel =
        new EmbeddedChannel(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel child) {
                child.config().setAllocator(allocator);
                Connection.attach(state, child);
              }
            });
    ByteArrayOutputStream answers = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      channel.writeInbound(allocator.directBuffer().writeBytes(part));
      drain(channel, answers);
    }
    assertFalse(channel.finish(), "everything has been read");
    channel.checkException();
    assertEquals(1, disk.disconnected.get());
    TestServer.assertNoLeak(allocator);
    return new Outcome(parse(answers.toByteArray()), disk.disk);
  }

  private static void drain(EmbeddedChannel channel, ByteArrayOutputStream answers)
      throws IOException {
    for (ByteBuf out; (out = channel.readOutbound()) != null; ) {
      out.readBytes(answers, out.readableBytes());
      out.release();
    }
  }

  private static Map<Long, String> parse(byte[] answers) throws IOException {
    DataInputStream in = RawPeer.data(new ByteArrayInputStream(answers));
    in.readNBytes(18);
    Map<Long, String> replies = new TreeMap<>();
    for (long index = 0; index < HANDSHAKE_REPLIES; index++) {
      RawPeer.OptionAnswer answer = RawPeer.optionReply(in);
      replies.put(-index, answer.option() + " " + answer.type() + Arrays.toString(answer.data()));
    }
    while (in.available() > 0) {
      RawPeer.Answer reply = RawPeer.reply(in, 0);
      replies.put(
          reply.cookie(), reply.type() + " " + reply.error() + Arrays.toString(reply.data()));
    }
    return replies;
  }

  @Test
  @Rule("O3")
  void cutAtEveryByte() throws IOException {
    byte[] script = ConnectionEndTest.script();
    Outcome whole = play(script);
    assertEquals(HANDSHAKE_REPLIES + 7, whole.replies().size(), whole.replies()::toString);
    for (int cut = 0; cut < script.length; cut++) {
      Outcome outcome =
          play(Arrays.copyOf(script, cut), Arrays.copyOfRange(script, cut, script.length));
      assertEquals(whole.replies(), outcome.replies(), "cut at " + cut);
      assertArrayEquals(whole.disk(), outcome.disk(), "cut at " + cut);
    }
  }

  @Test
  void byteByByte() throws IOException {
    byte[] script = ConnectionEndTest.script();
    byte[][] parts = new byte[script.length][];
    for (int index = 0; index < parts.length; index++) {
      parts[index] = new byte[] {script[index]};
    }
    assertEquals(play(script).replies(), play(parts).replies());
  }
}
