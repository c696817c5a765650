// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.LoudLog;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Servers that break the protocol in every way there is a seed for: the client fails with an
/// IOException, soon, and never succeeds with other bytes than the server sent. `-Dtest.seed=N`
/// replays one session, `-Dtest.sessions=N` sets how many there are.
@Timeout(600)
final class ClientFuzzTest {
  private static final int SESSIONS = Integer.getInteger("test.sessions", 20_000);
  private static final int THREADS = 2;

  /// Far longer than any answer takes: what is not over by then hangs.
  private static final long HANG_SECONDS = 30;

  private static final int REQUEST_BYTES_MAX = 9000;
  private static final ClientOptions OPTIONS =
      ClientOptions.defaults().withContexts(List.of("base:allocation", "qemu:dirty-bitmap:b0"));

  private final AtomicLong opened = new AtomicLong();
  private final AtomicLong succeeded = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();

  /// What was asked for, and where a read puts its bytes.
  private record Asked(
      int command, long offset, long length, ByteBuffer target, CompletableFuture<?> future) {}

  @Test
  void noServerMakesTheClientHangOrLieOrThrowAnythingElse(@TempDir Path directory)
      throws Exception {
    Long replay = Long.getLong("test.seed");
    try (LoudLog log = new LoudLog()) {
      if (replay != null) {
        run(directory, replay, 1, 1);
      } else {
        List<CompletableFuture<Void>> runs = new ArrayList<>();
        for (int thread = 0; thread < THREADS; thread++) {
          Path own = java.nio.file.Files.createDirectory(directory.resolve("t" + thread));
          long first = 1L + thread;
          runs.add(
              CompletableFuture.runAsync(
                  () -> run(own, first, SESSIONS / THREADS, THREADS),
                  task -> Thread.ofPlatform().name("fuzz-" + own.getFileName()).start(task)));
        }
        for (CompletableFuture<Void> run : runs) {
          run.get();
        }
      }
      System.gc();
      log.assertSilent("logged");
    }
    System.out.println(
        "ClientFuzzTest: sessions that opened the export: "
            + opened
            + ", requests succeeded: "
            + succeeded
            + ", failed: "
            + failed);
    assertTrue(
        replay != null || (opened.get() > SESSIONS / 3 && failed.get() > SESSIONS / 3),
        "the sessions do not reach what they are for");
  }

  private void run(Path directory, long firstSeed, int count, int step) {
    try (HostileServer server = new HostileServer(directory)) {
      for (int index = 0; index < count; index++) {
        long seed = firstSeed + (long) index * step;
        try {
          session(server, seed);
        } catch (Exception | AssertionError e) {
          throw new AssertionError(
              "seed " + seed + " failed; replay: -Dtest=ClientFuzzTest -Dtest.seed=" + seed, e);
        }
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private void session(HostileServer server, long seed) throws Exception {
    SplittableRandom random = new SplittableRandom(seed);
    int requestCount = random.nextInt(1, 8);
    HostileSession session = new HostileSession(random.split(), requestCount);
    server.next(session);
    List<Asked> asked = new ArrayList<>();
    try {
      NbdClient client = connect(server.uri());
      opened.incrementAndGet();
      try {
        for (int count = 0; count < requestCount && client.info().sizeBytes() > 0; count++) {
          asked.add(ask(client, random));
        }
        for (Asked request : asked) {
          settle(request);
        }
      } finally {
        client.abort();
      }
    } catch (IOException refused) {
      assertTrue(session.damage == HostileSession.Damage.HANDSHAKE, refused::toString);
    }
    assertTrue(session.over.await(HANG_SECONDS, TimeUnit.SECONDS), "the server's script");
    judge(session, asked);
  }

  private static NbdClient connect(NbdUri uri) throws IOException {
    return NbdClient.connect(uri, OPTIONS);
  }

  private static Asked ask(NbdClient client, SplittableRandom random) {
    long size = client.info().sizeBytes();
    int length = (int) Math.min(size, random.nextInt(1, REQUEST_BYTES_MAX));
    length = Math.min(length, client.maximumRequestBytes());
    // Offsets are apart from each other, so that a reply can be told to its request.
    long offset = random.nextLong(size - length + 1);
    ByteBuffer target = ByteBuffer.allocateDirect(length);
    boolean status = !client.info().metaContexts().isEmpty();
    int command = random.nextInt(3) > 0 ? 0 : random.nextInt(1, 8);
    return switch (command) {
      case 1 ->
          new Asked(
              1, offset, length, target, client.write(offset, target, Export.Durability.CACHED));
      case 3 -> new Asked(3, 0, 0, target, client.flush());
      case 4 -> new Asked(4, offset, length, target, client.trim(offset, length));
      case 5 -> new Asked(5, offset, length, target, client.cache(offset, length));
      case 6 ->
          new Asked(
              6,
              offset,
              length,
              target,
              client.writeZeroes(offset, length, Export.Zeroing.MAY_PUNCH));
      case 7 ->
          status
              ? new Asked(7, offset, length, target, client.blockStatus(offset, length))
              : new Asked(0, offset, length, target, client.read(offset, target));
      default -> new Asked(0, offset, length, target, client.read(offset, target));
    };
  }

  private void settle(Asked request) throws Exception {
    try {
      request.future().get(HANG_SECONDS, TimeUnit.SECONDS);
      succeeded.incrementAndGet();
    } catch (ExecutionException e) {
      assertInstanceOf(IOException.class, e.getCause(), () -> "of " + request);
      failed.incrementAndGet();
    }
  }

  private static byte[] bytes(ByteBuffer target) {
    byte[] bytes = new byte[target.capacity()];
    target.get(0, bytes);
    return bytes;
  }

  private static void judge(HostileSession session, List<Asked> asked) {
    if (session.damage == HostileSession.Damage.HANDSHAKE) {
      // The replies were right, so whatever succeeded has the right bytes.
      for (Asked request : asked) {
        if (request.command() == 0 && !request.future().isCompletedExceptionally()) {
          byte[] expected = HostileReplies.content(request.offset(), (int) request.length());
          assertArrayEquals(expected, bytes(request.target()), request::toString);
        }
      }
      return;
    }
    ReplyOracle oracle =
        new ReplyOracle(session.format, session.requests, session.replies.toByteArray());
    Map<List<Long>, List<HostileReplies.Request>> received = new HashMap<>();
    for (HostileReplies.Request request : session.requests) {
      List<Long> key = List.of((long) request.command(), request.offset(), request.length());
      received.computeIfAbsent(key, any -> new ArrayList<>()).add(request);
    }
    for (Asked request : asked) {
      List<Long> key = List.of((long) request.command(), request.offset(), request.length());
      boolean success = !request.future().isCompletedExceptionally();
      Optional<byte[]> allowed =
          received.getOrDefault(key, List.of()).stream()
              .map(oracle::success)
              .flatMap(Optional::stream)
              .findFirst();
      assertTrue(!success || allowed.isPresent(), () -> "succeeded, but may not: " + request);
      if (success && request.command() == 0) {
        assertArrayEquals(allowed.get(), bytes(request.target()), request::toString);
      }
      // Of two that are alike, either may have failed.
      boolean unique = received.getOrDefault(key, List.of()).size() == 1;
      if (session.damage == HostileSession.Damage.NONE && unique) {
        assertEquals(allowed.isPresent(), success, () -> "a right reply: " + request);
      }
    }
  }
}
