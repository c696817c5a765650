// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.tls.TestAuthority;
import io.netty.buffer.PoolArenaMetric;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.util.ResourceLeakDetector;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Clients that break the protocol in every way there is a seed for. `-Dtest.seed=N` replays one
/// session, `-Dtest.connections=N` sets how many there are in all.
@Timeout(900)
final class ServerFuzzTest {
  private static final int CONNECTIONS = Integer.getInteger("test.connections", 200_000);

  /// One in that many goes over real sockets.
  private static final int SOCKET_SHARE = 10;

  /// One in that many is watched by the leak detector at its paranoid level.
  private static final int PARANOID_SHARE = 20;

  /// One in that many is played where TLS is offered.
  private static final int TLS_SHARE = 40;

  private static final List<ServerLimits> LIMITS =
      List.of(
          TestServer.LIMITS.withOptionsMax(100),
          TestServer.LIMITS
              .withOptionsMax(100)
              .withRequestsInFlightMax(4)
              .withBytesInFlightMax(20_000)
              .withExtentsMax(3));

  private static long[] seeds(long first, long count) {
    Long replay = Long.getLong("test.seed");
    return replay == null ? LongStream.range(first, first + count).toArray() : new long[] {replay};
  }

  private static AssertionError failed(long seed, Throwable why) {
    return new AssertionError(
        "seed " + seed + " failed; replay: -Dtest=ServerFuzzTest -Dtest.seed=" + seed, why);
  }

  private static long activeAllocations(PooledByteBufAllocator allocator) {
    return allocator.metric().directArenas().stream()
        .mapToLong(PoolArenaMetric::numActiveAllocations)
        .sum();
  }

  @Test
  void noSessionBreaksAConnectionWithoutASocket() {
    long first = Long.getLong("test.firstSeed", 1);
    long[] seeds = seeds(first, CONNECTIONS - CONNECTIONS / SOCKET_SHARE);
    ResourceLeakDetector.Level level = ResourceLeakDetector.getLevel();
    long damaged;
    try (LoudLog log = new LoudLog()) {
      // At its paranoid level the detector notes every access to every buffer, which costs ten
      // times the session; what the allocator counts after each session is as sharp.
      int paranoid = Math.max(1, seeds.length / PARANOID_SHARE);
      damaged = playInTwoThreads(Arrays.copyOf(seeds, paranoid));
      ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.SIMPLE);
      damaged += playInTwoThreads(Arrays.copyOfRange(seeds, paranoid, seeds.length));
      System.gc();
      log.assertSilent("logged");
    } finally {
      ResourceLeakDetector.setLevel(level);
    }
    System.out.println(
        "ServerFuzzTest: " + seeds.length + " sessions without a socket, damaged: " + damaged);
    assertTrue(seeds.length == 1 || damaged > seeds.length / 2);
  }

  private static long playInTwoThreads(long[] seeds) {
    int middle = seeds.length / 2;
    CompletableFuture<Long> other =
        CompletableFuture.supplyAsync(
            () -> playEmbedded(Arrays.copyOf(seeds, middle)),
            task -> Thread.ofPlatform().name("fuzz").start(task));
    return playEmbedded(Arrays.copyOfRange(seeds, middle, seeds.length)) + other.join();
  }

  /// How many of the sessions were damaged.
  private static long playEmbedded(long[] seeds) {
    PooledByteBufAllocator allocator = new PooledByteBufAllocator(true, 0, 1, 8192, 5, 0, 0, false);
    long damaged = 0;
    for (long seed : seeds) {
      try {
        SplittableRandom random = new SplittableRandom(seed);
        FuzzScript script = new FuzzScript(random);
        damaged += script.damaged ? 1 : 0;
        ServerLimits limits = LIMITS.get(random.nextInt(LIMITS.size()));
        new EmbeddedSession(random, limits, allocator).play(script);
        assertEquals(0, activeAllocations(allocator), "buffers not released");
      } catch (AssertionError | RuntimeException | IOException e) {
        throw failed(seed, e);
      }
    }
    return damaged;
  }

  private static byte[] clientHello() throws Exception {
    SSLEngine engine = SSLContext.getDefault().createSSLEngine("localhost", 10809);
    engine.setUseClientMode(true);
    ByteBuffer hello = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
    assertEquals(SSLEngineResult.Status.OK, engine.wrap(ByteBuffer.allocate(0), hello).getStatus());
    return Arrays.copyOf(hello.array(), hello.position());
  }

  @Test
  void nothingBehindStartTlsBreaksAConnection(@TempDir Path directory) throws Exception {
    Path files = new TestAuthority("authority").serverDirectory(directory.resolve("server"));
    TlsCredentials credentials = new TlsCredentials.X509(files);
    ServerTls tls = new ServerTls(ServerTls.Mode.ON, Optional.of(credentials), false);
    PooledByteBufAllocator allocator = new PooledByteBufAllocator(true, 0, 1, 8192, 5, 0, 0, false);
    FuzzCatalog catalog = new FuzzCatalog(Runnable::run);
    ServerState state =
        ServerState.create(catalog, LIMITS.getFirst(), tls, allocator, Optional.empty());
    byte[] clientHello = clientHello();
    try (LoudLog log = new LoudLog()) {
      for (long seed : seeds(2_000_000_000L, CONNECTIONS / TLS_SHARE)) {
        try {
          SplittableRandom random = new SplittableRandom(seed);
          FuzzScript script = new FuzzScript(random, clientHello);
          new EmbeddedSession(random, catalog, state, allocator).play(script);
          assertEquals(0, activeAllocations(allocator), "buffers not released");
          log.assertSilent("logged");
        } catch (AssertionError | RuntimeException | IOException e) {
          throw failed(seed, e);
        }
      }
    }
  }

  @Test
  void noSessionBreaksAServerBehindSockets() throws Exception {
    long[] seeds = seeds(1_000_000_000, CONNECTIONS / SOCKET_SHARE);
    ResourceLeakDetector.Level level = ResourceLeakDetector.getLevel();
    try (LoudLog log = new LoudLog()) {
      // Everything that is loaded or started once.
      playBehindSockets(LIMITS.getFirst(), Arrays.copyOf(seeds, 1));
      List<String> before = descriptors();
      int middle = seeds.length / 2;
      CompletableFuture<Void> other =
          CompletableFuture.runAsync(
              () -> playBehindSockets(LIMITS.getFirst(), Arrays.copyOf(seeds, middle)),
              task -> Thread.ofPlatform().name("fuzz").start(task));
      ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.ADVANCED);
      playBehindSockets(LIMITS.getLast(), Arrays.copyOfRange(seeds, middle, seeds.length));
      other.get();
      System.gc();
      Awaitility.await()
          .untilAsserted(
              () -> {
                List<String> now = descriptors();
                assertTrue(now.size() <= before.size(), () -> "open: " + before + " now: " + now);
              });
      Awaitility.await()
          .until(
              () ->
                  Thread.getAllStackTraces().keySet().stream()
                      .noneMatch(thread -> thread.getName().startsWith("nbd-loop")));
      log.assertSilent("logged");
    } finally {
      ResourceLeakDetector.setLevel(level);
    }
    System.out.println("ServerFuzzTest: " + seeds.length + " sessions over sockets");
  }

  /// What the descriptors of this process stand for, less the epoll sets: the JDK makes some for
  /// its virtual threads when it likes. An event loop of ours that was left would show by its
  /// eventfd.
  private static List<String> descriptors() throws IOException {
    List<String> open = new ArrayList<>();
    try (Stream<Path> entries = Files.list(Path.of("/proc/self/fd"))) {
      for (Path entry : entries.toList()) {
        if (Files.exists(entry, LinkOption.NOFOLLOW_LINKS)) {
          String target = Files.readSymbolicLink(entry).toString();
          if (!target.equals("anon_inode:[eventpoll]")) {
            open.add(target);
          }
        }
      }
    }
    return open;
  }

  private static void playBehindSockets(ServerLimits limits, long[] seeds) {
    try (SocketFuzz fuzz = new SocketFuzz(limits)) {
      for (long seed : seeds) {
        try {
          SplittableRandom random = new SplittableRandom(seed);
          fuzz.play(random, new FuzzScript(random));
        } catch (AssertionError | RuntimeException | IOException e) {
          throw failed(seed, e);
        }
      }
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
