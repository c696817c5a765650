// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.DONE;
import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.chunk;
import static io.nbdfleece.nbd.client.ScriptedServer.dataChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.doneChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.errorChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.holeChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.simple;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.ScriptedServer.Received;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Every kind of reply that a right server gives, and the ways a connection ends.
@Timeout(60)
final class RepliesTest {
  @TempDir Path directory;

  @Test
  void simpleReplyFillsTheRead() throws Exception {
    byte[] data = random(5000, 1);
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.simpleHandshake();
                  peer.send(simple(0, peer.request().cookie()));
                  peer.send(data);
                  peer.awaitClose();
                });
        NbdClient client = server.connect("base:allocation")) {
      assertEquals(List.of(), client.info().metaContexts());
      assertArrayEquals(data, read(client, 100, 5000));
    }
  }

  @Test
  void readFillsOnlyPositionToLimitAndLeavesThemAlone() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  Received read = peer.request();
                  byte[] data = new byte[read.length()];
                  Arrays.fill(data, (byte) 7);
                  peer.send(dataChunk(DONE, read.cookie(), read.offset(), data));
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      ByteBuffer target = ByteBuffer.allocateDirect(10).position(3).limit(8);
      client.read(0, target).get();
      assertEquals(3, target.position());
      assertEquals(8, target.limit());
      byte[] all = new byte[10];
      target.clear().get(all);
      assertArrayEquals(new byte[] {0, 0, 0, 7, 7, 7, 7, 7, 0, 0}, all);
    }
  }

  @Test
  void chunksInAnyOrderFillTheRead() throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    byte[] disk = random(8192, seed);
    Arrays.fill(disk, 1024, 3072, (byte) 0);
    int rounds = 200;
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  Random order = new Random(seed);
                  for (int round = 0; round < rounds; round++) {
                    peer.send(shuffledChunks(peer.request(), disk, order));
                  }
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      for (int round = 0; round < rounds; round++) {
        byte[] got = new byte[8192];
        Arrays.fill(got, (byte) 0x55);
        client.read(0, ByteBuffer.wrap(got)).get();
        assertArrayEquals(disk, got, "test.seed=" + seed);
      }
    }
  }

  private static byte[] shuffledChunks(Received read, byte[] disk, Random order) {
    List<byte[]> chunks = new ArrayList<>();
    for (int start = 0; start < disk.length; start += 512) {
      chunks.add(
          start >= 1024 && start < 3072
              ? holeChunk(0, read.cookie(), start, 512)
              : dataChunk(0, read.cookie(), start, Arrays.copyOfRange(disk, start, start + 512)));
    }
    Collections.shuffle(chunks, order);
    var all = bytes();
    chunks.forEach(all::raw);
    return all.raw(doneChunk(read.cookie())).array();
  }

  @Test
  void errorChunkWithTextFailsTheRequestWithTheText() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  long cookie = peer.request().cookie();
                  peer.send(dataChunk(0, cookie, 0, new byte[512]));
                  peer.send(errorChunk(0, cookie, 28, "the store\nis full"));
                  peer.send(doneChunk(cookie));
                  cookie = peer.request().cookie();
                  byte[] payload = bytes().u32(5).u16(3).text("bad").u64(700).array();
                  peer.send(chunk(DONE, 0x8002, cookie, payload));
                  cookie = peer.request().cookie();
                  payload = bytes().u32(71).u16(3).text("odd").u32(1).array();
                  peer.send(chunk(DONE, 0x8123, cookie, payload));
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      NbdException first = nbdFailure(client.read(0, ByteBuffer.allocate(1024)));
      assertEquals(NbdError.ENOSPC, first.error());
      assertTrue(message(first).endsWith("ENOSPC: the store?is full"), first.toString());
      NbdException second = nbdFailure(client.read(512, ByteBuffer.allocate(1024)));
      assertEquals(NbdError.EIO, second.error());
      assertTrue(message(second).endsWith("EIO: bad, at offset 700"), second.toString());
      NbdException unknown = nbdFailure(client.trim(512, 1024));
      assertEquals(NbdError.EINVAL, unknown.error());
      assertTrue(message(unknown).endsWith("error 71: odd"), unknown.toString());
    }
  }

  @Test
  void simpleErrorIsAcceptedWhereChunksAreDue() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  peer.send(simple(1, peer.request().cookie()));
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      NbdException error = nbdFailure(client.read(0, ByteBuffer.allocate(1024)));
      assertEquals(NbdError.EPERM, error.error());
    }
  }

  @Test
  void requestsCarryTheirFlagsAndRanges() throws Exception {
    List<Received> received = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  for (int i = 0; i < 5; i++) {
                    received.add(peer.request());
                    peer.send(simple(0, received.getLast().cookie()));
                  }
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      client.write(3, ByteBuffer.wrap(new byte[] {1, 2}), Export.Durability.DURABLE).get();
      client.trim(512, 1024).get();
      client.writeZeroes(5, 6, Export.Zeroing.FAST_ONLY_NO_HOLE).get();
      client.cache(7, 8).get();
      client.flush().get();
    }
    assertEquals(
        List.of("1 1 3 2", "4 0 512 1024", "6 18 5 6", "5 0 7 8", "3 0 0 0"),
        received.stream()
            .map(r -> r.command() + " " + r.flags() + " " + r.offset() + " " + r.length())
            .toList());
    assertEquals(ByteBuffer.wrap(new byte[] {1, 2}), received.getFirst().data());
  }

  @Test
  void blockStatusComesBackInTheOrderAskedFor() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake("b:two", "base:allocation");
                  long cookie = peer.request().cookie();
                  peer.send(chunk(0, 5, cookie, bytes().u32(1).u32(4096).u32(9).array()));
                  byte[] extents = bytes().u32(2).u32(512).u32(3).u32(8192).u32(0).array();
                  peer.send(chunk(DONE, 5, cookie, extents));
                  peer.awaitClose();
                });
        NbdClient client = server.connect("base:allocation", "a:one", "b:two")) {
      assertEquals(List.of("base:allocation", "b:two"), client.info().metaContexts());
      assertEquals(
          List.of(
              new ContextExtents(
                  "base:allocation", List.of(new Extent(512, 3), new Extent(8192, 0))),
              new ContextExtents("b:two", List.of(new Extent(4096, 9)))),
          client.blockStatus(0, 4096).get());
    }
  }

  @Test
  void hundredRequestsAreAnsweredInReverseOrder() throws Exception {
    CountDownLatch attached = new CountDownLatch(1); // else a callback may run right here
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  List<Received> requests = peer.requests(100);
                  attached.await();
                  for (Received read : requests.reversed()) {
                    byte[] data = bytes().u64(read.offset()).array();
                    peer.send(dataChunk(DONE, read.cookie(), read.offset(), data));
                  }
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      List<Integer> completed = Collections.synchronizedList(new ArrayList<>());
      List<CompletableFuture<Void>> checks = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        int number = i;
        ByteBuffer target = ByteBuffer.allocateDirect(8);
        checks.add(
            client
                .read(i * 8L, target)
                .thenRun(
                    () -> {
                      assertEquals(number * 8L, target.getLong(0));
                      completed.add(number);
                    }));
      }
      attached.countDown();
      for (CompletableFuture<Void> check : checks) {
        check.get();
      }
      assertEquals(99, completed.getFirst());
      assertEquals(0, completed.getLast());
    }
  }

  @Test
  void lostConnectionInTheMiddleOfAReplyFailsAllFutures() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  Received first = peer.requests(3).getFirst();
                  byte[] whole = dataChunk(DONE, first.cookie(), 0, new byte[4096]);
                  peer.send(Arrays.copyOf(whole, 1000));
                });
        NbdClient client = server.connect()) {
      List<CompletableFuture<Void>> futures =
          List.of(
              client.read(0, ByteBuffer.allocate(4096)),
              client.write(0, ByteBuffer.allocate(4096), Export.Durability.CACHED),
              client.flush());
      for (CompletableFuture<Void> future : futures) {
        IOException error = failure(future);
        assertFalse(error instanceof NbdException);
        assertTrue(message(error).startsWith(server.uri().toString()), error.toString());
      }
      assertTrue(message(failure(client.flush())).contains("closed"));
    }
  }

  @Test
  void closeAwaitsRepliesAndOnlyThenSendsDisconnect() throws Exception {
    CountDownLatch disconnected = new CountDownLatch(1);
    List<Integer> commands = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.handshake();
              List<Received> requests = peer.requests(2);
              requests.forEach(request -> commands.add(request.command()));
              peer.send(simple(0, requests.get(1).cookie()));
              peer.send(simple(0, requests.get(0).cookie()));
              commands.add(peer.requests(1).getFirst().command());
              disconnected.countDown();
              peer.awaitClose();
            })) {
      NbdClient client = server.connect();
      CompletableFuture<Void> flush = client.flush();
      CompletableFuture<Void> write =
          client.write(0, ByteBuffer.allocateDirect(512), Export.Durability.CACHED);
      client.close();
      assertTrue(flush.isDone() && write.isDone());
      flush.get();
      write.get();
      assertTrue(disconnected.await(10, TimeUnit.SECONDS));
      assertEquals(List.of(3, 1, 2), commands);
      assertTrue(message(failure(client.flush())).contains("client was closed"));
      client.close();
    }
  }

  @Test
  void abortClosesWithoutDisconnect() throws Exception {
    CountDownLatch inFlight = new CountDownLatch(1);
    CountDownLatch ended = new CountDownLatch(1);
    List<Integer> commands = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.handshake();
              try {
                while (true) {
                  commands.add(peer.request().command());
                  inFlight.countDown();
                }
              } finally {
                ended.countDown();
              }
            })) {
      NbdClient client = server.connect();
      CompletableFuture<Void> flush = client.flush();
      inFlight.await();
      client.abort();
      assertTrue(message(failure(flush)).contains("aborted"));
      ended.await();
      assertEquals(List.of(3), commands);
    }
  }

  @RepeatedTest(20)
  void closingTheLoopFailsWhatIsInFlight() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.handshake();
              peer.awaitClose();
            })) {
      NbdClientLoop loop = NbdClientLoop.start("own");
      NbdClient client = NbdClient.connect(server.uri(), List.of(), loop);
      CompletableFuture<Void> flush = client.flush();
      loop.close();
      failure(flush);
      failure(client.write(0, ByteBuffer.allocate(8), Export.Durability.CACHED));
      client.close();
      assertThrows(
          IOException.class, () -> NbdClient.connect(server.uri(), List.of(), loop).close());
    }
  }

  @Test
  void callbacksMayIssueRequestsAndClose() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.handshake();
              for (int i = 0; i < 3; i++) {
                peer.send(simple(0, peer.request().cookie()));
              }
              peer.awaitClose();
            })) {
      NbdClient client = server.connect();
      client
          .flush()
          .thenCompose(nothing -> client.flush())
          .thenCompose(nothing -> client.flush())
          .thenRun(client::close)
          .get();
      failure(client.flush());
    }
  }

  @Test
  void requestsOutsideOfTheLimitsAreTheCallersMistake() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.handshake();
                  peer.awaitClose();
                });
        NbdClient client = server.connect()) {
      long end = ScriptedServer.SIZE_BYTES;
      ByteBuffer two = ByteBuffer.allocate(2);
      assertEquals(32 << 20, client.maximumRequestBytes());
      assertIllegal(() -> client.read(end - 1, two).join());
      assertIllegal(() -> client.read(-1, two).join());
      assertIllegal(() -> client.read(0, two.asReadOnlyBuffer()).join());
      assertIllegal(() -> client.read(0, ByteBuffer.allocate((32 << 20) + 1)).join());
      assertIllegal(() -> client.trim(0, 1L << 32).join());
      assertIllegal(() -> client.trim(Long.MAX_VALUE, 2).join());
      client.read(end, ByteBuffer.allocate(0)).get();
      assertEquals(NbdError.ENOTSUP, nbdFailure(client.blockStatus(0, 1)).error());
    }
  }

  private static void assertIllegal(Runnable call) {
    assertThrows(IllegalArgumentException.class, call::run);
  }

  private static byte[] read(NbdClient client, long offset, int length) throws Exception {
    ByteBuffer target = ByteBuffer.allocateDirect(length);
    client.read(offset, target).get();
    byte[] bytes = new byte[length];
    target.get(bytes);
    return bytes;
  }

  private static byte[] random(int length, long seed) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private static String message(Throwable error) {
    return String.valueOf(error.getMessage());
  }

  private static NbdException nbdFailure(CompletableFuture<?> future) {
    return assertInstanceOf(NbdException.class, failure(future));
  }

  private static IOException failure(CompletableFuture<?> future) {
    ExecutionException error = assertThrows(ExecutionException.class, future::get);
    return assertInstanceOf(IOException.class, error.getCause());
  }
}
