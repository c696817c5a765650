// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.DONE;
import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.chunk;
import static io.nbdfleece.nbd.client.ScriptedServer.dataChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.doneChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.errorChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.holeChunk;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdException;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// One session with every kind of chunk, ended or divided at each of its bytes.
@Timeout(120)
final class CutStreamTest {
  private static final byte[] EXPECTED = {1, 2, 0, 0, 0, 3, 4, 5};

  @TempDir Path directory;

  /// The replies to a read of 8 bytes at 100, a failing trim, and a block status.
  private static byte[] replies(long firstCookie) {
    return bytes()
        .raw(dataChunk(0, firstCookie, 105, new byte[] {3, 4, 5}))
        .raw(holeChunk(0, firstCookie, 102, 3))
        .raw(errorChunk(DONE, firstCookie + 1, 5, "no"))
        .raw(dataChunk(0, firstCookie, 100, new byte[] {1, 2}))
        .raw(chunk(0, 5, firstCookie + 2, bytes().u32(1).u32(8).u32(3).array()))
        .raw(doneChunk(firstCookie))
        .raw(doneChunk(firstCookie + 2))
        .array();
  }

  private static int session(ScriptedServer server) throws Exception {
    ByteBuffer target = ByteBuffer.allocateDirect(8);
    int succeeded = 0;
    try (NbdClient client = server.connect("base:allocation")) {
      CompletableFuture<Void> read = client.read(100, target);
      CompletableFuture<Void> trim = client.trim(0, 512);
      CompletableFuture<?> status = client.blockStatus(0, 8);
      ExecutionException trimmed = assertThrows(ExecutionException.class, trim::get);
      assertInstanceOf(IOException.class, trimmed.getCause());
      succeeded += trimmed.getCause() instanceof NbdException ? 1 : 0;
      succeeded += succeeds(status) ? 1 : 0;
      if (succeeds(read)) {
        assertEquals(ByteBuffer.wrap(EXPECTED), target);
        succeeded++;
      }
      client.abort();
    }
    return succeeded;
  }

  private static boolean succeeds(CompletableFuture<?> future) throws InterruptedException {
    try {
      future.get();
      return true;
    } catch (ExecutionException e) {
      IOException cause = assertInstanceOf(IOException.class, e.getCause());
      assertFalse(cause instanceof NbdException, cause.toString());
      return false;
    }
  }

  @Test
  void streamCutAtAnyByteFailsWhatIsNotComplete() throws Exception {
    ScriptedServer.Script script =
        peer -> {
          peer.handshake("base:allocation");
          peer.send(replies(peer.requests(3).getFirst().cookie()));
          peer.awaitClose();
        };
    int total;
    try (ScriptedServer whole = new ScriptedServer(directory, script)) {
      assertEquals(3, session(whole));
      total = whole.sentBytes();
    }
    int handshakes = 0;
    for (int cut = 0; cut < total; cut++) {
      try (ScriptedServer server = new ScriptedServer(directory, cut, script)) {
        int succeeded = session(server);
        assertTrue(succeeded < 3, "cut at " + cut);
        handshakes++;
      } catch (IOException e) {
        String message = String.valueOf(e.getMessage());
        assertTrue(message.startsWith("nbd+unix:"), message);
      }
    }
    assertEquals(replies(1).length, handshakes);
  }

  @Test
  void repliesDividedAnywhereDecodeAlike() throws Exception {
    byte[] stream = replies(1);
    for (int first = 0; first <= stream.length; first++) {
      for (int second = first; second <= stream.length; second += 7) {
        decodeDivided(stream, first, second);
      }
    }
  }

  private static void decodeDivided(byte[] stream, int first, int second) throws Exception {
    RequestTable requests = new RequestTable();
    ReplyDecoder decoder = new ReplyDecoder(requests, Negotiated.Replies.STRUCTURED, () -> true);
    ByteBuffer target = ByteBuffer.allocate(8);
    Request.Read read = new Request.Read(100, target);
    Request.Plain trim = new Request.Plain(4, 0, 0, 512);
    Request.Status status = Request.Status.ofAll(0, 8, Map.of(1, "base:allocation"), 4096, 100);
    requests.add(read);
    requests.add(trim);
    requests.add(status);
    decoder.decode(Unpooled.wrappedBuffer(stream, 0, first));
    decoder.decode(Unpooled.wrappedBuffer(stream, first, second - first));
    decoder.decode(Unpooled.wrappedBuffer(stream, second, stream.length - second));
    assertEquals(0, requests.size());
    read.future.get();
    status.future.get();
    assertTrue(trim.future.isCompletedExceptionally());
    assertEquals(ByteBuffer.wrap(EXPECTED), target);
  }
}
