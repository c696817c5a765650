// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.DONE;
import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.chunk;
import static io.nbdfleece.nbd.client.ScriptedServer.chunkHeader;
import static io.nbdfleece.nbd.client.ScriptedServer.dataChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.doneChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.errorChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.holeChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.simple;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// A server that breaks the rules of the transmission phase breaks the connection, whatever rule it
/// is; no request succeeds.
@Timeout(60)
final class HostileRepliesTest {
  /// Where the request under attack begins; its length is 4096.
  private static final long OFFSET = 8192;

  @TempDir Path directory;

  interface Reply {
    byte[] to(long cookie);
  }

  record Case(String name, Reply reply, String expected) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Case> readReplies() {
    byte[] k = new byte[1024];
    return Stream.of(
        new Case("no reply magic", c -> bytes().u64(0).array(), "0x0"),
        new Case("unknown cookie", c -> doneChunk(c + 77), "no request waits for"),
        new Case("unknown cookie, simple", c -> simple(0, -1), "0xffffffffffffffff"),
        new Case("simple success for a read", c -> simple(0, c), "expected: chunks"),
        new Case("chunk before", c -> dataChunk(DONE, c, OFFSET - 1, k), "outside of the request"),
        new Case("chunk behind", c -> dataChunk(DONE, c, OFFSET + 3073, k), "outside of the"),
        new Case("chunk at 2^63", c -> dataChunk(DONE, c, 1L << 63, k), "9223372036854775808"),
        new Case("chunk at 2^64-1", c -> dataChunk(DONE, c, -1, k), "18446744073709551615"),
        new Case("chunk at 2^63-1", c -> dataChunk(DONE, c, Long.MAX_VALUE, k), "outside of the"),
        new Case("chunk too long", c -> dataChunk(DONE, c, OFFSET, new byte[4097]), "all of it"),
        new Case("chunk of 4 GiB", c -> chunkHeader(1, 1, c, -1).array(), "length=4294967295"),
        new Case("chunk without data", c -> dataChunk(DONE, c, OFFSET, new byte[0]), "1 byte"),
        new Case("chunk without offset", c -> chunk(DONE, 1, c, new byte[7]), "1 byte"),
        new Case(
            "overlap of data",
            c -> both(dataChunk(0, c, OFFSET, k), dataChunk(0, c, OFFSET + 1023, k)),
            "had sent already"),
        new Case(
            "overlap from before",
            c -> both(dataChunk(0, c, OFFSET + 1024, k), dataChunk(0, c, OFFSET + 1, k)),
            "had sent already"),
        new Case(
            "overlap of hole and data",
            c -> both(holeChunk(0, c, OFFSET, 4096), dataChunk(0, c, OFFSET + 3072, k)),
            "had sent already"),
        new Case("nothing", c -> doneChunk(c), "missing is at 8192"),
        new Case("end missing", c -> dataChunk(DONE, c, OFFSET, k), "missing is at 9216"),
        new Case("start missing", c -> holeChunk(DONE, c, OFFSET + 1, 4095), "missing is at 8192"),
        new Case(
            "middle missing",
            c -> both(holeChunk(0, c, OFFSET, 1000), holeChunk(1, c, OFFSET + 1001, 3095)),
            "missing is at 9192"),
        new Case("hole of nothing", c -> holeChunk(DONE, c, OFFSET, 0), "outside of the request"),
        new Case("hole too long", c -> holeChunk(DONE, c, OFFSET, 4097), "outside of the request"),
        new Case("hole of 4 GiB", c -> holeChunk(DONE, c, OFFSET, -1), "outside of the request"),
        new Case("hole with more", c -> chunk(DONE, 2, c, new byte[13]), "length 12"),
        new Case("empty chunk, not last", c -> chunk(0, 0, c, new byte[0]), "empty last chunk"),
        new Case("empty chunk with bytes", c -> chunk(DONE, 0, c, k), "empty last chunk"),
        new Case("status for a read", c -> chunk(DONE, 5, c, new byte[12]), "no block status"),
        new Case("unknown type", c -> chunk(DONE, 77, c, k), "a known type"),
        new Case("unknown flag", c -> chunk(3, 0, c, new byte[0]), "flags 0x3"),
        new Case("error zero", c -> errorChunk(DONE, c, 0, "fine"), "error=0"),
        new Case("error too short", c -> chunk(DONE, 0x8001, c, new byte[5]), "length=5"),
        new Case("error too long", c -> chunkHeader(1, 0x8001, c, 1 << 30).array(), "4096"),
        new Case("text too long", c -> errorChunk(DONE, c, 5, "x".repeat(4097)), "4097"),
        new Case(
            "text longer than chunk",
            c -> chunk(DONE, 0x8001, c, bytes().u32(5).u16(9).u16(0).array()),
            "text of 9 bytes"),
        new Case(
            "text shorter than chunk",
            c -> chunk(DONE, 0x8001, c, bytes().u32(5).u16(1).u16(0).array()),
            "text of 1 bytes"),
        new Case(
            "error offset outside",
            c -> chunk(DONE, 0x8002, c, bytes().u32(5).u16(0).u64(OFFSET + 4096).array()),
            "12288, outside"),
        new Case(
            "error offset without offset",
            c -> chunk(DONE, 0x8002, c, bytes().u32(5).u16(0).array()),
            "text of 0 bytes"));
  }

  static Stream<Case> statusReplies() {
    return Stream.of(
        new Case("simple success", c -> simple(0, c), "expected: chunks"),
        new Case("none", c -> doneChunk(c), "without base:allocation"),
        new Case("data", c -> dataChunk(DONE, c, OFFSET, new byte[1]), "no data"),
        new Case("hole", c -> holeChunk(DONE, c, OFFSET, 1), "no hole"),
        new Case("unknown id", c -> status(c, 9, 4096, 0), "never negotiated"),
        new Case("extent of 0", c -> status(c, 1, 0, 0), "length 0"),
        new Case("second extent of 0", c -> status(c, 1, 8, 0, 0, 0), "length 0"),
        new Case("extent behind the request", c -> status(c, 1, 4096, 0, 1, 0), "behind the req"),
        new Case(
            "extent behind the export", c -> status(c, 1, 1 << 20, 0), "of 1048576 bytes, behind"),
        new Case("extent of 4 GiB", c -> status(c, 1, -1, 0), "behind the export's end"),
        new Case("half an extent", c -> chunk(DONE, 5, c, new byte[16]), "length 4 + 8 n"),
        new Case("no extent", c -> chunk(DONE, 5, c, new byte[4]), "length 4 + 8 n"),
        new Case(
            "too many extents",
            c -> chunkHeader(1, 5, c, 4 + 8 * ((1 << 20) + 1)).array(),
            "at most 2^20"),
        new Case(
            "the same context twice",
            c ->
                both(
                    chunk(0, 5, c, bytes().u32(1).u32(1).u32(0).array()),
                    chunk(0, 5, c, bytes().u32(1).u32(1).u32(0).array())),
            "twice"));
  }

  @ParameterizedTest
  @MethodSource("readReplies")
  void readReplyAgainstTheRulesBreaksTheConnection(Case hostile) throws Exception {
    ByteBuffer target = ByteBuffer.allocateDirect(4096);
    check(hostile, client -> client.read(OFFSET, target));
  }

  @ParameterizedTest
  @MethodSource("statusReplies")
  void statusReplyAgainstTheRulesBreaksTheConnection(Case hostile) throws Exception {
    check(hostile, client -> client.blockStatus(OFFSET, 4096));
  }

  @ParameterizedTest
  @MethodSource("structuredToSimpleClient")
  void chunksThatWereNotNegotiatedBreakTheConnection(Case hostile) throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.simpleHandshake();
                  peer.send(hostile.reply().to(peer.request().cookie()));
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      assertViolation(server, client.flush(), hostile.expected());
    }
  }

  static Stream<Case> structuredToSimpleClient() {
    return Stream.of(new Case("done", c -> doneChunk(c), "0x668e33ef"));
  }

  @ParameterizedTest
  @MethodSource("unasked")
  void bytesBeforeAnyRequestBreakTheConnection(Case hostile) throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  peer.send(hostile.reply().to(1));
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      CompletableFuture<Void> flush = client.flush();
      // The bytes may overtake the request or not; cookie 99 is never right.
      assertViolation(server, flush, hostile.expected());
    }
  }

  static Stream<Case> unasked() {
    return Stream.of(new Case("reply", c -> simple(0, 99), "0x63, which no request waits for"));
  }

  private interface Call {
    CompletableFuture<?> issue(NbdClient client);
  }

  private void check(Case hostile, Call call) throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake("base:allocation");
                  long cookie = peer.request().cookie();
                  peer.request();
                  peer.send(hostile.reply().to(cookie));
                  peer.awaitClose();
                });
        NbdClient client = server.connect("base:allocation")) {
      CompletableFuture<?> attacked = call.issue(client);
      CompletableFuture<Void> bystander = client.flush();
      assertViolation(server, attacked, hostile.expected());
      assertViolation(server, bystander, hostile.expected());
      assertViolation(server, client.flush(), hostile.expected());
    }
  }

  @Test
  void extentsBeyondAnyUseAreNotKept() throws Exception {
    String[] contexts = {"base:allocation", "a:1", "a:2", "a:3"};
    int sentCount = 20_000;
    var extents = bytes();
    for (int i = 0; i < sentCount; i++) {
      extents.u32(1).u32(i);
    }
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake(contexts);
                  while (true) {
                    long cookie = peer.request().cookie();
                    for (int id = 1; id <= contexts.length; id++) {
                      byte[] payload = bytes().u32(id).raw(extents.array()).array();
                      peer.send(chunk(id == contexts.length ? DONE : 0, 5, cookie, payload));
                    }
                  }
                });
        NbdClient client = server.connect(contexts)) {
      List<Integer> keptCounts = new ArrayList<>();
      for (ContextExtents one : client.blockStatus(0, sentCount).get()) {
        keptCounts.add(one.extents().size());
        assertEquals(new Extent(1, 16_383), one.extents().getLast());
      }
      assertEquals(List.of(1 << 14, 1 << 14, 1 << 14, 1 << 14), keptCounts);
      List<ContextExtents> few = client.blockStatus(0, sentCount, List.of("a:1"), 10).get();
      assertEquals(10, few.getFirst().extents().size());
    }
  }

  private static void assertViolation(
      ScriptedServer server, CompletableFuture<?> future, String expected) {
    ExecutionException error = assertThrows(ExecutionException.class, future::get);
    IOException cause = assertInstanceOf(IOException.class, error.getCause());
    String message = String.valueOf(cause.getMessage());
    assertFalse(cause instanceof NbdException, message);
    assertTrue(message.startsWith(server.uri() + ": the server violated the protocol"), message);
    assertTrue(message.contains(expected), message);
  }

  private static byte[] status(long cookie, long id, long... lengthsAndFlags) {
    var payload = bytes().u32(id);
    for (long value : lengthsAndFlags) {
      payload.u32(value);
    }
    return chunk(DONE, 5, cookie, payload.array());
  }

  private static byte[] both(byte[] first, byte[] second) {
    return bytes().raw(first).raw(second).array();
  }
}
