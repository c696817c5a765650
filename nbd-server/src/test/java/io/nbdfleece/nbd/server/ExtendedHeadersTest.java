// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.extended;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.server.RawPeer.Chunk;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// Extended headers: their option, requests and replies. The disk has 4 PiB, 1 MiB of it real.
class ExtendedHeadersTest {
  private static final int SIZE = 1 << 20;
  private static final long HUGE = 1L << 52;
  private static final int PAYLOAD = Nbd.CMD_FLAG_PAYLOAD_LEN;
  private static final String BASE = ExportInfo.BASE_ALLOCATION;
  private static final String BITMAP = "qemu:dirty-bitmap:b0";

  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    ExportInfo huge = new ExportInfo(HUGE, "", MemoryExport.WRITABLE, 4096, List.of(BASE, BITMAP));
    MemoryExport disk =
        new MemoryExport(SIZE, MemoryExport.WRITABLE) {
          @Override
          public ExportInfo info() {
            return huge;
          }

          @Override
          public void trim(
              long offsetBytes,
              long lengthBytes,
              Durability durability,
              io.nbdfleece.nbd.Completion done) {
            lastCall = "trim " + offsetBytes + " " + lengthBytes;
            done.succeeded();
          }

          @Override
          public void writeZeroes(
              long offsetBytes,
              long lengthBytes,
              Zeroing zeroing,
              Durability durability,
              io.nbdfleece.nbd.Completion done) {
            lastCall = "zero " + offsetBytes + " " + lengthBytes;
            done.succeeded();
          }

          @Override
          public void cache(long offsetBytes, long lengthBytes, io.nbdfleece.nbd.Completion done) {
            lastCall = "cache " + offsetBytes + " " + lengthBytes;
            done.succeeded();
          }
        };
    new Random(1).nextBytes(disk.disk);
    server = new TestServer(disk);
    peer = RawPeer.openExtended(server.socket, BASE, BITMAP);
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private RawPeer agreed() throws IOException {
    RawPeer other = server.connect();
    other.greet(3);
    other.send(option(Nbd.OPT_EXTENDED_HEADERS));
    assertEquals(Nbd.REP_ACK, other.optionReply().type());
    return other;
  }

  /// The one chunk that answers; it must be empty or an error.
  private int error(byte[] request) throws IOException {
    peer.send(request);
    Chunk chunk = peer.chunk();
    assertTrue(chunk.isLast());
    if (chunk.errorNumber() == 0) {
      assertEquals(Nbd.REPLY_NONE, chunk.type());
      assertEquals(0, chunk.data().length);
    }
    return chunk.errorNumber();
  }

  /// `id: length/status …` of each chunk.
  private List<String> statuses(byte[] request) throws IOException {
    peer.send(request);
    List<String> all = new ArrayList<>();
    Chunk chunk;
    do {
      chunk = peer.chunk();
      assertEquals(Nbd.REPLY_BLOCK_STATUS_EXT, chunk.type());
      ByteBuffer data = chunk.buffer();
      StringBuilder text = new StringBuilder().append(data.getInt()).append(':');
      int count = data.getInt();
      assertEquals(16 * count, data.remaining());
      while (data.hasRemaining()) {
        text.append(' ').append(data.getLong()).append('/').append(data.getLong());
      }
      all.add(text.toString());
    } while (!chunk.isLast());
    return all;
  }

  private static byte[] filtered(int flags, long offset, long effect, int... ids) {
    byte[] payload =
        RawPeer.bytes(
            out -> {
              out.writeLong(effect);
              for (int id : ids) {
                out.writeInt(id);
              }
            });
    return extended(Nbd.CMD_BLOCK_STATUS, flags | PAYLOAD, 1, offset, payload.length, payload);
  }

  @Test
  @Rule("X2")
  void optionTakesNoData() throws IOException {
    try (RawPeer other = server.connect()) {
      other.greet(3);
      other.send(option(Nbd.OPT_EXTENDED_HEADERS, new byte[1]));
      assertEquals(Nbd.REP_ERR_INVALID, other.optionReply().type());
    }
  }

  @Test
  @Rule({"R3", "O10"})
  void structuredRepliesAreNoLongerToBeHadAfterwards() throws IOException {
    try (RawPeer other = agreed()) {
      other.send(option(Nbd.OPT_STRUCTURED_REPLY));
      assertEquals(Nbd.REP_ERR_EXT_HEADER_REQD, other.optionReply().type());
    }
  }

  @Test
  @Rule("E4")
  void exportNameAfterwardsEndsTheConnection() throws IOException {
    try (RawPeer other = agreed()) {
      other.send(option(Nbd.OPT_EXPORT_NAME, new byte[0]));
      assertTrue(other.atEnd());
    }
  }

  @Test
  @Rule({"X3", "I9"})
  void theyCompriseStructuredRepliesInTheHandshake() throws IOException {
    try (RawPeer other = agreed()) {
      other.send(option(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)));
      assertEquals(Nbd.REP_META_CONTEXT, other.optionReply().type());
    }
  }

  @Test
  @Rule("F12")
  void statusPayloadIsAdvertisedOnlyWithContextsSelected() throws IOException {
    try (RawPeer other = agreed()) {
      assertEquals(Nbd.FLAG_SEND_DF, flags(other) & mask());
      other.send(option(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)));
      other.optionReply();
      other.optionReply();
      assertEquals(mask(), flags(other) & mask());
    }
    try (RawPeer compact = server.connect()) {
      compact.greet(3);
      compact.send(option(Nbd.OPT_STRUCTURED_REPLY));
      compact.optionReply();
      compact.send(option(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)));
      compact.optionReply();
      compact.optionReply();
      assertEquals(Nbd.FLAG_SEND_DF, flags(compact) & mask());
    }
  }

  private static int mask() {
    return Nbd.FLAG_SEND_DF | Nbd.FLAG_BLOCK_STATUS_PAYLOAD;
  }

  private static int flags(RawPeer other) throws IOException {
    other.send(option(Nbd.OPT_INFO, RawPeer.go("disk")));
    OptionAnswer info = other.optionReply();
    other.optionReply();
    return info.buffer().getShort(10);
  }

  @Test
  @Rule("X2")
  void readIsAnsweredWithTheOffsetOfTheRequest() throws IOException {
    peer.send(extended(Nbd.CMD_READ, 0, -5, 100, 5000));
    Chunk chunk = peer.chunk();
    assertEquals(-5, chunk.cookie());
    assertEquals(100, chunk.offset());
    assertTrue(chunk.isLast());
    assertEquals(Nbd.REPLY_OFFSET_DATA, chunk.type());
    assertEquals(100, chunk.buffer().getLong());
    assertArrayEquals(
        Arrays.copyOfRange(server.disk.disk, 100, 5100), Arrays.copyOfRange(chunk.data(), 8, 5008));
  }

  @Test
  @Rule("X4")
  void writesOfEverySizeReachTheDisk() throws IOException {
    byte[] oracle = server.disk.disk.clone();
    for (int length : new int[] {1, 511, 65536, 300_000, SIZE}) {
      byte[] data = new byte[length];
      new Random(length).nextBytes(data);
      System.arraycopy(data, 0, oracle, SIZE - length, length);
      assertEquals(0, error(extended(Nbd.CMD_WRITE, PAYLOAD, 3, SIZE - length, length, data)));
    }
    assertArrayEquals(oracle, server.disk.disk);
  }

  @Test
  @Rule("X4")
  void writeWithoutThePayloadFlagHasItsPayloadAllTheSame() throws IOException {
    for (int length : new int[] {1, 512, 300_000}) {
      byte[] data = new byte[length];
      Arrays.fill(data, (byte) length);
      assertEquals(0, error(extended(Nbd.CMD_WRITE, Nbd.CMD_FLAG_FUA, 3, 100, length, data)));
      assertArrayEquals(data, Arrays.copyOfRange(server.disk.disk, 100, 100 + length));
    }
    assertEquals(28, error(extended(Nbd.CMD_WRITE, 0, 4, -512, 512, new byte[512])));
    assertEquals(0, error(extended(Nbd.CMD_FLUSH, 0, 5, 0, 0)));
  }

  @Test
  @Rule("X4")
  void payloadOfACommandWithoutOneIsConsumed() throws IOException {
    for (int command : new int[] {0, 3, 4, 5, 6, 8, 77}) {
      assertEquals(22, error(extended(command, PAYLOAD, 3, 0, 3, new byte[3])));
      assertEquals(22, error(extended(command, PAYLOAD, 3, 0, 0)));
    }
    assertEquals(0, server.disk.started.get());
  }

  @Test
  @Rule("X5")
  void payloadOverTheMaximumEndsTheConnection() throws IOException {
    peer.send(extended(Nbd.CMD_WRITE, PAYLOAD, 3, 0, (32 << 20) + 1));
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule("X5")
  void payloadLengthOf64BitsEndsTheConnection() throws IOException {
    peer.send(extended(Nbd.CMD_TRIM, PAYLOAD, 3, 0, -1));
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule({"X2", "C1"})
  void compactRequestEndsTheConnection() throws IOException {
    peer.send(RawPeer.concat(RawPeer.request(Nbd.CMD_READ, 1, 0, 512), new byte[4]));
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule("C1")
  void extendedRequestIsUnknownWithoutTheOption() throws IOException {
    try (RawPeer compact = server.openStructured()) {
      compact.send(extended(Nbd.CMD_READ, 0, 1, 0, 512));
      assertTrue(compact.atEnd());
    }
  }

  @Test
  @Rule("X8")
  void effectLengthsOf64BitsReachTheExport() throws IOException {
    long length = HUGE - 512;
    assertEquals(0, error(extended(Nbd.CMD_TRIM, 0, 1, 512, length)));
    assertEquals("trim 512 " + length, server.disk.lastCall);
    assertEquals(0, error(extended(Nbd.CMD_WRITE_ZEROES, 0, 1, 512, length)));
    assertEquals("zero 512 " + length, server.disk.lastCall);
    assertEquals(0, error(extended(Nbd.CMD_CACHE, 0, 1, 512, length)));
    assertEquals("cache 512 " + length, server.disk.lastCall);
  }

  @Test
  @Rule({"X8", "C5"})
  void lengthsBeyondTheExportAreRefused() throws IOException {
    for (long length : new long[] {HUGE + 1, Long.MAX_VALUE, Long.MIN_VALUE, -1, -512}) {
      for (long offset : new long[] {0, 512, -1}) {
        assertEquals(22, error(extended(Nbd.CMD_READ, 0, 1, offset, length)));
        assertEquals(22, error(extended(Nbd.CMD_TRIM, 0, 1, offset, length)));
        assertEquals(22, error(extended(Nbd.CMD_CACHE, 0, 1, offset, length)));
        assertEquals(22, error(extended(Nbd.CMD_BLOCK_STATUS, 0, 1, offset, length)));
        assertEquals(28, error(extended(Nbd.CMD_WRITE_ZEROES, 0, 1, offset, length)));
      }
    }
    assertEquals(22, error(extended(Nbd.CMD_READ, 0, 1, 0, 1L << 40)), "more than a payload");
    assertEquals(0, server.disk.started.get());
  }

  @Test
  @Rule({"X8", "X6"})
  void statusOfALongRangeIsOneAnswer() throws IOException {
    server.disk.statuses =
        List.of(
            new ContextExtents(BASE, List.of(new Extent(1L << 50, 3), new Extent(1L << 51, 0))),
            new ContextExtents(BITMAP, List.of(new Extent(1L << 51, 1L << 40))));
    assertEquals(
        List.of(
            "1: " + (1L << 50) + "/3 " + (1L << 50) + "/0", "2: " + (1L << 51) + "/" + (1L << 40)),
        statuses(extended(Nbd.CMD_BLOCK_STATUS, 0, 1, 0, HUGE)));
    assertEquals(HUGE, server.disk.statusLengthAsked);
  }

  @Test
  @Rule({"X6", "H5"})
  void shortStatusHasExtendedDescriptorsToo() throws IOException {
    assertEquals(
        List.of("1: 512/0", "2: 512/0"),
        statuses(extended(Nbd.CMD_BLOCK_STATUS, Nbd.CMD_FLAG_REQ_ONE, 1, 512, 512)));
  }

  @Test
  @Rule("X7")
  void statusPayloadChoosesContexts() throws IOException {
    assertEquals(List.of("2: 70000/0"), statuses(filtered(0, 512, 70000, 2)));
    assertEquals("status [" + BITMAP + "] 131072", server.disk.lastCall);
    assertEquals(70000, server.disk.statusLengthAsked);
    assertEquals(
        List.of("1: 512/0", "2: 512/0"), statuses(filtered(Nbd.CMD_FLAG_REQ_ONE, 512, 512, 2, 1)));
  }

  @Test
  @Rule("X7")
  void badStatusPayloadIsConsumedAndInvalid() throws IOException {
    assertEquals(22, error(filtered(0, 0, 512, 1, 1)), "twice");
    assertEquals(22, error(filtered(0, 0, 512, 3)), "unknown");
    assertEquals(22, error(filtered(0, 0, 512, 1, 2, 1)), "more than there are");
    assertEquals(22, error(filtered(0, 0, 512)), "none");
    byte[] odd = new byte[13];
    assertEquals(22, error(extended(Nbd.CMD_BLOCK_STATUS, PAYLOAD, 1, 0, 13, odd)));
    assertEquals(22, error(extended(Nbd.CMD_BLOCK_STATUS, PAYLOAD, 1, 0, 7, new byte[7])));
    assertEquals(22, error(filtered(0, HUGE, 512, 1)), "past the end");
    assertEquals(0, server.disk.started.get());
    assertEquals(0, error(extended(Nbd.CMD_FLUSH, 0, 4, 0, 0)));
  }

  @Test
  @Rule("X7")
  void statusPayloadMayComeInPieces() throws IOException {
    byte[] request = filtered(0, 0, 4096, 1);
    for (int cut = 1; cut < request.length; cut++) {
      peer.send(Arrays.copyOf(request, cut));
      assertEquals(
          List.of("1: 4096/0"), statuses(Arrays.copyOfRange(request, cut, request.length)));
    }
  }

  @Test
  void statusWithoutSelectedContextsIsInvalid() throws IOException {
    peer.close();
    peer = RawPeer.openExtended(server.socket);
    assertEquals(22, error(extended(Nbd.CMD_BLOCK_STATUS, 0, 1, 0, 512)));
    assertEquals(22, error(filtered(0, 0, 512, 1)));
  }

  @Test
  @Rule("C9")
  void lengthZeroSucceedsWithoutTheExport() throws IOException {
    for (int command : new int[] {0, 4, 5, 6, 7}) {
      assertEquals(0, error(extended(command, 0, 1, 4096, 0)));
    }
    assertEquals(0, error(extended(Nbd.CMD_WRITE, PAYLOAD, 1, 4096, 0)));
    assertEquals(0, server.disk.started.get());
  }
}
