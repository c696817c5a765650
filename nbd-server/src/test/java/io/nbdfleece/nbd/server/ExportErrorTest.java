// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.extended;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.server.RawPeer.Answer;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Which errors of an export a client sees for which command, and the alignment that keeps requests
/// from it. The export has 64 MiB in blocks of 4096 bytes; none of it is real.
class ExportErrorTest {
  private static final int BLOCK = 4096;
  private static final int OVER_PAYLOAD = 33 << 20;

  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    ExportInfo blocks =
        new ExportInfo(
            64 << 20, "", MemoryExport.WRITABLE, BLOCK, 65536, List.of(ExportInfo.BASE_ALLOCATION));
    server =
        new TestServer(
            new MemoryExport(0, MemoryExport.WRITABLE) {
              @Override
              public ExportInfo info() {
                return blocks;
              }
            });
    peer = server.openStructured();
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private int seen(NbdError error, int command, int flags, long length) throws IOException {
    server.disk.fault = done -> done.failed(new NbdException(error, "because"));
    byte[] payload = new byte[command == Nbd.CMD_WRITE ? (int) length : 0];
    peer.send(request(command, flags, 1, 0, length, payload));
    Answer answer = peer.reply();
    assertEquals("because", answer.errorText());
    return answer.errorNumber();
  }

  @Test
  @Rule({"C7", "Z2"})
  void notSupportedIsForFastZeroingOnly() throws IOException {
    NbdError error = NbdError.ENOTSUP;
    assertEquals(95, seen(error, Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_FAST_ZERO, BLOCK));
    assertEquals(5, seen(error, Nbd.CMD_WRITE_ZEROES, 0, BLOCK));
    assertEquals(5, seen(error, Nbd.CMD_TRIM, 0, BLOCK));
    assertEquals(5, seen(error, Nbd.CMD_READ, 0, BLOCK));
    assertEquals(5, seen(error, Nbd.CMD_FLUSH, 0, 0));
    assertEquals(5, seen(error, Nbd.CMD_CACHE, 0, BLOCK));
  }

  @Test
  @Rule("C7")
  void overflowIsForLongRequestsWithoutPayloadAndForUnfragmentedReads() throws IOException {
    NbdError error = NbdError.EOVERFLOW;
    for (int command : new int[] {Nbd.CMD_TRIM, Nbd.CMD_CACHE, Nbd.CMD_WRITE_ZEROES}) {
      assertEquals(75, seen(error, command, 0, OVER_PAYLOAD));
      assertEquals(5, seen(error, command, 0, BLOCK));
    }
    assertEquals(75, seen(error, Nbd.CMD_READ, Nbd.CMD_FLAG_DF, BLOCK));
    assertEquals(5, seen(error, Nbd.CMD_READ, 0, BLOCK));
    assertEquals(5, seen(error, Nbd.CMD_WRITE, 0, BLOCK));
  }

  @Test
  @Rule("C7")
  void shortageOfMemoryIsAnInputOutputError() throws IOException {
    assertEquals(5, seen(NbdError.ENOMEM, Nbd.CMD_READ, 0, BLOCK));
    assertEquals(5, seen(NbdError.ENOMEM, Nbd.CMD_WRITE, 0, BLOCK));
  }

  @Test
  void noSpacePassesThrough() throws IOException {
    assertEquals(28, seen(NbdError.ENOSPC, Nbd.CMD_WRITE, 0, BLOCK));
    assertEquals(28, seen(NbdError.ENOSPC, Nbd.CMD_WRITE_ZEROES, 0, BLOCK));
  }

  @Test
  @Rule({"C4", "N4"})
  void requestsThatAreNotAlignedNeverReachTheExport() throws IOException {
    for (int command : new int[] {0, 4, 5, 6, 7}) {
      for (long[] range : new long[][] {{512, BLOCK}, {0, 512}, {BLOCK + 1, BLOCK - 1}}) {
        peer.send(request(command, 1, range[0], range[1]));
        Answer answer = peer.reply();
        assertEquals(22, answer.errorNumber());
        assertEquals("not aligned to 4096 bytes", answer.errorText());
      }
    }
    peer.send(RawPeer.write(1, 512, new byte[BLOCK]));
    assertEquals("not aligned to 4096 bytes", peer.reply().errorText());
    assertEquals(0, server.disk.started.get());
  }

  @Test
  void alignedRequestsReachIt() throws IOException {
    server.disk.fault = done -> done.succeeded();
    peer.send(RawPeer.write(1, BLOCK, new byte[2 * BLOCK]));
    assertEquals(0, peer.reply().errorNumber());
    assertEquals(1, server.disk.started.get());
  }

  @Test
  @Rule("N4")
  void minimumBlockSizeIsAdvertised() throws IOException {
    try (RawPeer other = server.connect()) {
      other.greet(3);
      other.send(RawPeer.option(Nbd.OPT_INFO, RawPeer.go("disk", Nbd.INFO_BLOCK_SIZE)));
      other.optionReply();
      OptionAnswer info = other.optionReply();
      assertEquals(Nbd.INFO_BLOCK_SIZE, info.buffer().getShort());
      assertEquals(BLOCK, info.buffer().getInt(2));
    }
  }

  @Test
  void errorsHaveExtendedHeadersWhereAgreed() throws IOException {
    server.disk.fault = done -> done.failed(new NbdException(NbdError.EIO, "because"));
    try (RawPeer other = RawPeer.openExtended(server.socket)) {
      other.send(extended(Nbd.CMD_TRIM, 0, 3, BLOCK, BLOCK));
      RawPeer.Chunk chunk = other.chunk();
      assertTrue(chunk.isLast());
      assertEquals(5, chunk.errorNumber());
      assertEquals(3, chunk.cookie());
      assertEquals(BLOCK, chunk.offset());
    }
  }

  /// One whose reply cannot be made.
  private static final class Exhausted extends IOException {
    private static final long serialVersionUID = 1L;

    @Override
    public String getMessage() {
      throw new OutOfMemoryError("by the test");
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void requestsBehindOneWhoseReplyFindsNoMemoryAreSettled(boolean inline) throws IOException {
    server.disk.fault = done -> done.failed(new Exhausted());
    server.disk.hold = !inline;
    try (RawPeer other = server.openStructured()) {
      peer.send(ConnectionEndTest.reads(3, BLOCK));
      if (!inline) {
        Awaitility.await().until(() -> server.disk.held.size() == 3);
        server.disk.held.forEach(Runnable::run);
        server.disk.held.clear();
      }
      assertTrue(peer.atEnd());
      Awaitility.await().until(() -> server.disk.disconnected.get() == 1);
      server.disk.hold = false;
      server.disk.fault = done -> done.failed(new NbdException(NbdError.EIO, "because"));
      other.send(request(Nbd.CMD_FLUSH, 7, 0, 0));
      assertEquals(7, other.reply().cookie());
    }
  }
}
