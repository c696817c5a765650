// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.DONE;
import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.chunk;
import static io.nbdfleece.nbd.client.ScriptedServer.extendedChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.extendedHeader;
import static io.nbdfleece.nbd.client.ScriptedServer.optionReply;
import static io.nbdfleece.nbd.client.ScriptedServer.simple;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.ScriptedServer.ReceivedExtended;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Headers with lengths of 64 bits (NBD specification, extension "extended headers"), with bytes
/// built by hand; and servers that abuse them (CVE-2023-5215, CVE-2023-5871).
@Timeout(60)
final class ExtendedHeadersTest {
  private static final long OFFSET = 8192;
  private static final long TEN_TIB = 10L << 40;

  @TempDir Path directory;

  private static byte[] done(ReceivedExtended request) {
    return extendedChunk(DONE, 0, request.cookie(), request.offset(), new byte[0]);
  }

  @Test
  void requestsHaveLengthsOf64BitsAndWritesSayThatTheyCarryData() throws Exception {
    List<ReceivedExtended> received = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.extendedHandshake();
                  for (int i = 0; i < 6; i++) {
                    received.add(peer.extendedRequest());
                    peer.send(done(received.getLast()));
                  }
                  received.add(peer.extendedRequest());
                });
        NbdClient client = server.connectExtended()) {
      assertTrue(client.negotiated().extendedHeaders());
      assertTrue(client.negotiated().structuredReplies());
      assertEquals(Long.MAX_VALUE, client.effectBytesMax());
      client.write(3, ByteBuffer.wrap(new byte[] {1, 2}), Export.Durability.DURABLE).get();
      client.trim(512, TEN_TIB, Export.Durability.DURABLE).get();
      client.writeZeroes(5, TEN_TIB, Export.Zeroing.NO_HOLE).get();
      client.writeZeroes(5, 6, Export.Zeroing.FAST_ONLY_NO_HOLE, Export.Durability.DURABLE).get();
      client.cache(7, TEN_TIB).get();
      client.flush().get();
    }
    Awaitility.await().until(() -> received.size() == 7); // the last one has no answer
    assertEquals(
        List.of(
            "1 33 3 2",
            "4 1 512 " + TEN_TIB,
            "6 2 5 " + TEN_TIB,
            "6 19 5 6",
            "5 0 7 " + TEN_TIB,
            "3 0 0 0",
            "2 0 0 0"),
        received.stream()
            .map(r -> r.command() + " " + r.flags() + " " + r.offset() + " " + r.length())
            .toList());
    assertEquals(ByteBuffer.wrap(new byte[] {1, 2}), received.getFirst().payload());
  }

  @Test
  void readTakesDataHolesAndErrors() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.extendedHandshake();
                  ReceivedExtended read = peer.extendedRequest();
                  long c = read.cookie();
                  byte[] data = bytes().u64(OFFSET + 2).raw(new byte[] {3, 4}).array();
                  peer.send(extendedChunk(0, 1, c, OFFSET, data));
                  byte[] hole = bytes().u64(OFFSET).u32(2).array();
                  peer.send(extendedChunk(DONE, 2, c, OFFSET, hole));
                  c = peer.extendedRequest().cookie();
                  byte[] error = bytes().u32(5).u16(3).text("bad").array();
                  peer.send(extendedChunk(DONE, 0x8001, c, OFFSET, error));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended()) {
      ByteBuffer target = ByteBuffer.wrap(new byte[] {9, 9, 9, 9});
      client.read(OFFSET, target).get();
      assertEquals(ByteBuffer.wrap(new byte[] {0, 0, 3, 4}), target);
      ExecutionException error =
          assertThrows(ExecutionException.class, () -> client.read(OFFSET, target).get());
      assertTrue(String.valueOf(error.getMessage()).contains("EIO: bad"), error.toString());
    }
  }

  @Test
  void extentsAndFlagsOf64BitsAreTaken() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.extendedHandshake("base:allocation");
                  long c = peer.extendedRequest().cookie();
                  byte[] extents =
                      bytes().u32(1).u32(2).u64(TEN_TIB).u64(3).u64(512).u64(-1).array();
                  peer.send(extendedChunk(DONE, 6, c, 0, extents));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended("base:allocation")) {
      assertEquals(
          List.of(
              new ContextExtents(
                  "base:allocation", List.of(new Extent(TEN_TIB, 3), new Extent(512, -1)))),
          client.blockStatus(0, TEN_TIB + 1).get());
    }
  }

  @Test
  void someContextsAreAskedForByPayload() throws Exception {
    List<ReceivedExtended> received = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.extendedHandshake("base:allocation", "a:one", "b:two");
                  received.add(peer.extendedRequest());
                  long c = received.getFirst().cookie();
                  peer.send(
                      extendedChunk(
                          0, 6, c, OFFSET, bytes().u32(3).u32(1).u64(512).u64(7).array()));
                  peer.send(
                      extendedChunk(
                          DONE, 6, c, OFFSET, bytes().u32(1).u32(1).u64(512).u64(0).array()));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended(ClientOptions.ALL_CONTEXTS)) {
      assertTrue(client.negotiated().statusPayload());
      assertEquals(List.of("base:allocation", "a:one", "b:two"), client.negotiated().contexts());
      assertEquals(
          List.of("b:two", "base:allocation"),
          client.blockStatus(OFFSET, TEN_TIB, List.of("b:two", "base:allocation")).get().stream()
              .map(ContextExtents::context)
              .toList());
    }
    ReceivedExtended status = received.getFirst();
    assertEquals(7, status.command());
    assertEquals(32, status.flags());
    assertEquals(ByteBuffer.wrap(bytes().u64(TEN_TIB).u32(1).u32(3).array()), status.payload());
  }

  @Test
  void serverWithoutExtendedHeadersIsUsedAllTheSame() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.greet();
                  for (int option = peer.option(); option != 7; option = peer.option()) {
                    int answer = option == 11 ? 0x80000001 : 1;
                    peer.send(optionReply(option, answer, new byte[0]));
                  }
                  peer.send(ScriptedServer.exportInfo(4096, 3));
                  peer.send(optionReply(7, 1, new byte[0]));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended()) {
      assertFalse(client.negotiated().extendedHeaders());
      assertTrue(client.negotiated().structuredReplies());
      assertEquals(0xffff_ffffL, client.effectBytesMax());
    }
  }

  interface Reply {
    byte[] to(long cookie);
  }

  record Case(String name, Reply reply, String expected) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Case status(String name, byte[] payload, String expected) {
    return new Case(name, c -> extendedChunk(DONE, 6, c, OFFSET, payload), expected);
  }

  static Stream<Case> hostileStatuses() {
    byte[] none = {};
    return Stream.of(
        new Case("another offset", c -> extendedChunk(DONE, 0, c, OFFSET + 1, none), "offset=8193"),
        new Case("offset 2^63", c -> extendedChunk(DONE, 0, c, 1L << 63, none), "offset=922337"),
        new Case("length 2^63", c -> extendedHeader(1, 6, c, OFFSET, 1L << 63).array(), "2^63"),
        new Case("length 2^64-1", c -> extendedHeader(1, 6, c, OFFSET, -1).array(), "1844674"),
        new Case("length 2^62", c -> extendedHeader(1, 6, c, OFFSET, 1L << 62).array(), "8 + 16 n"),
        new Case(
            "length 2^40 + 8",
            c -> extendedHeader(1, 6, c, OFFSET, (1L << 40) + 8).array(),
            "2^20 extents"),
        new Case(
            "error of 2^40 bytes",
            c -> extendedHeader(1, 0x8001, c, OFFSET, 1L << 40).array(),
            "at most 4096"),
        new Case("unknown cookie", c -> extendedChunk(1, 0, c + 1, OFFSET, none), "no request"),
        new Case("unknown flag", c -> extendedChunk(5, 0, c, OFFSET, none), "flags 0x5"),
        new Case("simple reply", c -> simple(5, c), "magic of a reply"),
        new Case("short header", c -> chunk(DONE, 0, c, none), "magic of a reply"),
        new Case(
            "extents of 32 bits",
            c -> extendedChunk(DONE, 5, c, OFFSET, new byte[12]),
            "extents of 64 bits"),
        status("no extent", bytes().u32(1).u32(0).array(), "8 + 16 n"),
        status("count too high", bytes().u32(1).u32(2).u64(1).u64(0).array(), "announces"),
        status("count 2^28+1", bytes().u32(1).u32((1 << 28) + 1).u64(1).u64(0).array(), "announc"),
        status("unknown id", bytes().u32(9).u32(1).u64(1).u64(0).array(), "never negotiated"),
        status("extent of 0", bytes().u32(1).u32(1).u64(0).u64(0).array(), "length 0"),
        status(
            "CVE-2023-5871: extent of 2^63",
            bytes().u32(1).u32(1).u64(1L << 63).u64(0).array(),
            "behind"),
        status("extent of 2^64-1", bytes().u32(1).u32(1).u64(-1).u64(0).array(), "1844674"),
        status(
            "extents whose sum overflows",
            bytes().u32(1).u32(2).u64(512).u64(0).u64(Long.MAX_VALUE).u64(0).array(),
            "behind the export's end"),
        status(
            "past the export", bytes().u32(1).u32(1).u64((1L << 50) - 8191).u64(0).array(), "end"));
  }

  @ParameterizedTest
  @MethodSource("hostileStatuses")
  void serverThatBreaksTheRulesBreaksTheConnection(Case hostile) throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.extendedHandshake("base:allocation");
                  peer.send(hostile.reply().to(peer.extendedRequest().cookie()));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended("base:allocation")) {
      assertViolation(client.blockStatus(OFFSET, 4096), hostile.expected());
      assertViolation(client.flush(), hostile.expected());
    }
  }

  @Test
  void floodOfChunksThatNeverEndsBreaksTheConnection() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.extendedHandshake();
                  long c = peer.extendedRequest().cookie();
                  byte[] one = extendedChunk(0, 0x8001, c, OFFSET, bytes().u32(5).u16(0).array());
                  var many = bytes();
                  for (int i = 0; i < 1000; i++) {
                    many.raw(one);
                  }
                  while (true) {
                    peer.send(many.array());
                  }
                });
        NbdClient client = server.connectExtended()) {
      assertViolation(client.trim(OFFSET, 1), "more than 262144 chunks");
    }
  }

  @Test
  void refusalOfGoAfterExtendedHeadersIsAViolation() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              for (int option = peer.option(); option != 7; option = peer.option()) {
                peer.send(optionReply(option, 1, new byte[0]));
              }
              peer.send(optionReply(7, 0x80000001, new byte[0]));
              peer.awaitClose();
            })) {
      IOException error = assertThrows(IOException.class, () -> server.connectExtended().close());
      assertTrue(String.valueOf(error.getMessage()).contains("violated"), error.toString());
    }
  }

  private static void assertViolation(CompletableFuture<?> future, String expected) {
    ExecutionException error = assertThrows(ExecutionException.class, future::get);
    IOException cause = assertInstanceOf(IOException.class, error.getCause());
    String message = String.valueOf(cause.getMessage());
    assertFalse(cause instanceof NbdException, message);
    assertTrue(message.contains("the server violated the protocol"), message);
    assertTrue(message.contains(expected), message);
  }
}
