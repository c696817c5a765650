// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.extended;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.nbd.server.RawPeer.Answer;
import io.nbdfleece.nbd.server.RawPeer.Chunk;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// Zeroes in the replies to reads. The disk has 4 MiB of data without a zero byte.
class HoleChunksTest {
  private static final int SIZE = 4 << 20;
  private static final int KIB = 1 << 10;

  private TestServer server;
  private RawPeer peer;
  private byte[] disk;

  @BeforeEach
  void start() throws IOException {
    server = new TestServer(new MemoryExport(SIZE, MemoryExport.WRITABLE));
    disk = server.disk.disk;
    Arrays.fill(disk, (byte) 1);
    peer = server.openStructured();
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private void zero(int start, int end) {
    Arrays.fill(disk, start, end, (byte) 0);
  }

  /// `data LENGTH` and `hole LENGTH` of each chunk, in order; checks what they say.
  private String read(RawPeer from, boolean extendedHeaders, int offset, int length)
      throws IOException {
    byte[] seen = new byte[length];
    Arrays.fill(seen, (byte) 77);
    from.send(
        extendedHeaders
            ? extended(Nbd.CMD_READ, 0, 5, offset, length)
            : request(Nbd.CMD_READ, 5, offset, length));
    StringBuilder text = new StringBuilder();
    boolean last;
    do {
      int type;
      ByteBuffer data;
      if (extendedHeaders) {
        Chunk chunk = from.chunk();
        assertEquals(offset, chunk.offset());
        last = chunk.isLast();
        type = chunk.type();
        data = chunk.buffer();
      } else {
        Answer chunk = from.reply();
        assertEquals(5, chunk.cookie());
        last = chunk.flags() == Nbd.REPLY_FLAG_DONE;
        type = chunk.type();
        data = chunk.buffer();
      }
      int start = (int) (data.getLong() - offset);
      int bytes = type == Nbd.REPLY_OFFSET_HOLE ? data.getInt() : data.remaining();
      if (type == Nbd.REPLY_OFFSET_HOLE) {
        Arrays.fill(seen, start, start + bytes, (byte) 0);
      } else {
        assertEquals(Nbd.REPLY_OFFSET_DATA, type);
        data.get(seen, start, bytes);
      }
      text.append(type == Nbd.REPLY_OFFSET_HOLE ? " hole " : " data ").append(bytes);
    } while (!last);
    assertArrayEquals(Arrays.copyOfRange(disk, offset, offset + length), seen);
    return text.substring(1);
  }

  private String read(int offset, int length) throws IOException {
    return read(peer, false, offset, length);
  }

  @Test
  void readOfZeroesIsOneHole() throws IOException {
    zero(0, SIZE);
    assertEquals("hole 4096", read(0, 4096));
    assertEquals("hole 512", read(512, 512));
    assertEquals("hole 5001", read(77, 5001));
    assertEquals("hole 4194304", read(0, SIZE));
  }

  @Test
  void veryShortReadIsDataAlways() throws IOException {
    zero(0, SIZE);
    assertEquals("data 511", read(0, 511));
    assertEquals("data 1", read(0, 1));
  }

  @Test
  void longRunBetweenDataIsAHole() throws IOException {
    zero(64 * KIB, 128 * KIB);
    assertEquals("data 65536 hole 65536 data 131072", read(0, 256 * KIB));
  }

  @Test
  void longRunAtTheStartIsAHole() throws IOException {
    zero(0, 64 * KIB);
    assertEquals("hole 65536 data 65536", read(0, 128 * KIB));
  }

  @Test
  void longRunAtTheEndIsAHole() throws IOException {
    zero(64 * KIB, 128 * KIB);
    assertEquals("data 65536 hole 65536", read(0, 128 * KIB));
  }

  @Test
  void runsAtBothEndsAreHoles() throws IOException {
    zero(0, 64 * KIB);
    zero(68 * KIB, 128 * KIB);
    assertEquals("hole 65536 data 4096 hole 61440", read(0, 128 * KIB));
  }

  @Test
  void shortRunIsData() throws IOException {
    zero(64 * KIB, 92 * KIB);
    assertEquals("data 262144", read(0, 256 * KIB));
    zero(92 * KIB, 96 * KIB);
    assertEquals("data 65536 hole 32768 data 163840", read(0, 256 * KIB));
  }

  @Test
  void blockWithOneByteThatIsNotZeroIsData() throws IOException {
    zero(0, SIZE);
    for (int at : new int[] {0, 7, 8, 511, 2048, 4095}) {
      disk[at] = 1;
      assertEquals("data 4096", read(0, 4096));
      disk[at] = 0;
    }
  }

  @Test
  void holesAreCountedAndTheRestIsData() throws IOException {
    for (int index = 0; index < 32; index++) {
      zero(index * 128 * KIB + 64 * KIB, index * 128 * KIB + 128 * KIB);
    }
    String chunks = read(0, SIZE);
    assertEquals(16, chunks.split("hole", -1).length - 1);
    assertEquals(17, chunks.split("data", -1).length - 1);
  }

  @Test
  void doNotFragmentIsOneChunkOfData() throws IOException {
    zero(0, SIZE);
    peer.send(request(Nbd.CMD_READ, Nbd.CMD_FLAG_DF, 5, 0, SIZE));
    Answer answer = peer.reply();
    assertEquals(Nbd.REPLY_OFFSET_DATA, answer.type());
    assertEquals(Nbd.REPLY_FLAG_DONE, answer.flags());
    assertEquals(8 + SIZE, answer.data().length);
  }

  @Test
  void simpleReplyHasTheZeroes() throws IOException {
    zero(0, SIZE);
    try (RawPeer simple = server.open()) {
      simple.send(request(Nbd.CMD_READ, 5, 0, 65536));
      assertArrayEquals(new byte[65536], simple.reply(65536).data());
    }
  }

  @Test
  void holesWithExtendedHeadersAreTheSame() throws IOException {
    zero(0, 64 * KIB);
    zero(100 * KIB, 200 * KIB);
    try (RawPeer other = RawPeer.openExtended(server.socket)) {
      assertEquals("hole 65536 data 36864 hole 102400 data 57344", read(other, true, 0, 256 * KIB));
      assertEquals("hole 4096", read(other, true, 0, 4096));
      assertEquals("data 4096", read(other, true, 64 * KIB, 4096));
    }
  }

  @Test
  void everyMixtureReadsBackAsItIs() throws IOException {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("test.seed=" + seed);
    Random random = new Random(seed);
    try (RawPeer other = RawPeer.openExtended(server.socket)) {
      for (int round = 0; round < 300; round++) {
        int start = random.nextInt(SIZE);
        int end = start + random.nextInt(Math.min(200_000, SIZE - start));
        Arrays.fill(disk, start, end, (byte) (random.nextInt(3) / 2));
        int offset = random.nextInt(SIZE - 1);
        int length = 1 + random.nextInt(SIZE - offset);
        String first = read(offset, length);
        assertEquals(first, read(other, true, offset, length));
      }
    }
  }
}
