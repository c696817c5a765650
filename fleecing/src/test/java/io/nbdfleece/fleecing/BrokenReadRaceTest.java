// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.SnapshotEndedException;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Reads of a snapshot that are in flight while it breaks and the guest overwrites what they read:
/// they yield old data or an error, never new data. The reads are held back until the snapshot has
/// broken, or are slow. `-Dtest.races=N` sets how many races there are, `-Dtest.seed=N` repeats the
/// choices of one.
@Timeout(value = 1, unit = TimeUnit.HOURS)
final class BrokenReadRaceTest {
  private static final int CLUSTER = 4096;
  private static final int CLUSTERS = 64;
  private static final int READS = 8;

  /// More than the RAM tier has room for, and there is no other.
  private static final int WRITES = 40;

  private final ExecutorService threads = Executors.newCachedThreadPool();
  private int old;
  private int refused;
  private int heldUntilBroken;

  @AfterEach
  void end() {
    threads.shutdown();
  }

  /// A disk in memory. Reads of whole clusters, which the hook makes to preserve them, end inside
  /// the call; others on a thread of their own, later.
  private final class SlowDisk implements BlockNode {
    final byte[] content = new byte[CLUSTERS * CLUSTER];
    volatile CountDownLatch broken = new CountDownLatch(1);

    @Override
    public long sizeBytes() {
      return content.length;
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      if (target.remaining() == CLUSTER) {
        target.put(content, (int) offsetBytes, CLUSTER);
        done.succeeded();
        return;
      }
      CountDownLatch until = broken;
      threads.execute(
          () -> {
            try {
              int half = target.remaining() / 2;
              if (offsetBytes % 1024 != 0) { // held in the middle, or from the beginning on
                target.put(content, (int) offsetBytes, half);
              }
              boolean _ = until.await(offsetBytes % 4 * 100, TimeUnit.MILLISECONDS);
              int position = target.position();
              target.put(content, (int) offsetBytes + position, target.remaining());
              done.succeeded();
            } catch (InterruptedException e) {
              done.failed(new IOException(e));
            }
          });
    }

    @Override
    public void apply(Mutation mutation, Completion done) {
      Mutation.Write write = (Mutation.Write) mutation;
      write.data().get(write.data().position(), content, (int) write.offsetBytes(), CLUSTER);
      done.succeeded();
    }

    @Override
    public void flush(Completion done) {
      done.succeeded();
    }

    @Override
    public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
      done.succeeded(List.of(new BlockExtent(lengthBytes, BlockExtent.State.DATA)));
    }

    @Override
    public void close() {}
  }

  private record Read(int offset, ByteBuffer target, CompletableFuture<Void> ended) {}

  @Test
  void readInFlightWhileTheSnapshotBreaksNeverYieldsNewData(@TempDir Path directory)
      throws Exception {
    Long replay = Long.getLong("test.seed");
    long first = replay == null ? 1 : replay;
    long last = replay == null ? Integer.getInteger("test.races", 1000) : replay;
    SlowDisk disk = new SlowDisk();
    new Random(1).nextBytes(disk.content);
    // Nobody pauses while the store fills up: the races would take ten times as long and more.
    EngineConfig config =
        new EngineConfig(
            CLUSTER,
            16L * CLUSTER,
            directory,
            0,
            2,
            Optional.empty(),
            new GuestFirst(100, Duration.ZERO));
    try (FleecingEngine engine = FleecingEngine.open(config)) {
      var _ = engine.addDisk(new DiskConfig("vda", "memory", DiskConfig.Access.READ_WRITE), disk);
      var _ =
          engine.subscribe(
              event -> {
                if (event instanceof EngineEvent.SnapshotBroken) {
                  disk.broken.countDown();
                }
              });
      for (long seed = first; seed <= last; seed++) {
        try {
          race(engine, disk, new Random(seed));
        } catch (AssertionError | IOException e) {
          throw new AssertionError(
              "seed " + seed + " failed; repeat: -Dtest=BrokenReadRaceTest -Dtest.seed=" + seed, e);
        }
      }
    }
    System.out.println(
        "BrokenReadRaceTest: races: "
            + (last - first + 1)
            + ", reads that yielded old data: "
            + old
            + ", that were refused: "
            + refused
            + ", of these in flight when it broke: "
            + heldUntilBroken);
    assertTrue(replay != null || (old > 0 && heldUntilBroken > last), "it misses its purpose");
  }

  private void race(FleecingEngine engine, SlowDisk disk, Random random) throws Exception {
    byte[] frozen = disk.content.clone();
    disk.broken = new CountDownLatch(1);
    var _ =
        EngineRig.get(
            engine.snapshot(
                new SnapshotRequest(
                    List.of("vda"),
                    Optional.of("s"),
                    SnapshotRequest.Access.READ_ONLY,
                    SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
                    Duration.ZERO)));
    SnapshotView view = engine.takenSnapshot("s").orElseThrow().part("vda").orElseThrow().view();
    List<Integer> overwritten = new ArrayList<>(IntStream.range(0, CLUSTERS).boxed().toList());
    Collections.shuffle(overwritten, random);
    List<Read> reads = Collections.synchronizedList(new ArrayList<>());
    CompletableFuture<Void> reader =
        CompletableFuture.runAsync(
            () -> {
              for (int i = 0; i < READS; i++) {
                reads.add(read(view, overwritten.get(random.nextInt(WRITES)), random.nextInt()));
              }
            },
            threads);
    long seed = random.nextLong();
    List<CompletableFuture<Void>> writes = new ArrayList<>();
    if (seed % 4 != 0) {
      reader.get(30, TimeUnit.SECONDS); // else it begins while the guest writes
    }
    for (int cluster : overwritten.subList(0, WRITES)) {
      writes.add(write(engine, cluster, seed));
    }
    reader.get(30, TimeUnit.SECONDS);
    for (CompletableFuture<Void> write : writes) {
      write.get(30, TimeUnit.SECONDS); // the guest goes on, whatever becomes of the snapshot
    }
    assertTrue(view.brokenBecause().isPresent(), "not broken");
    for (Read read : List.copyOf(reads)) {
      judge(read, frozen);
    }
    var _ = engine.release("s");
    Awaitility.await()
        .pollInterval(Duration.ofMillis(1))
        .untilAsserted(
            () -> {
              StoreStatistics left = engine.storeStatistics();
              assertEquals(0, left.entries() + left.ramBytes());
            });
  }

  private void judge(Read read, byte[] frozen) throws Exception {
    try {
      read.ended.get(30, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      assertTrue(
          e.getCause() instanceof SnapshotEndedException ended && ended.broken(),
          () -> "refused for another reason: " + e.getCause());
      refused++;
      heldUntilBroken += isFilled(read.target) ? 1 : 0;
      return;
    }
    byte[] got = new byte[read.target.capacity()];
    read.target.get(0, got);
    assertEquals(
        -1,
        Arrays.mismatch(Arrays.copyOfRange(frozen, read.offset, read.offset + got.length), got),
        () -> "new data in a read at " + read.offset);
    old++;
  }

  /// The disk gave it something before it was refused.
  private static boolean isFilled(ByteBuffer target) {
    return target.duplicate().clear().mismatch(ByteBuffer.allocate(target.capacity())) >= 0;
  }

  /// Of a part of a cluster, or of it and the next one.
  private static Read read(SnapshotView view, int cluster, int choice) {
    int offset = cluster * CLUSTER + (choice & 0xfff);
    int length = 1 + (choice >>> 12 & 0x1ffe);
    ByteBuffer target =
        ByteBuffer.allocateDirect(
            Math.min(length == CLUSTER ? length + 1 : length, CLUSTERS * CLUSTER - offset));
    EngineRig.Done done = new EngineRig.Done();
    view.read(offset, target, done);
    return new Read(offset, target, done.future);
  }

  private static CompletableFuture<Void> write(FleecingEngine engine, int cluster, long seed) {
    byte[] bytes = new byte[CLUSTER];
    new Random(seed + cluster).nextBytes(bytes);
    EngineRig.Done done = new EngineRig.Done();
    engine
        .disk("vda")
        .orElseThrow()
        .top()
        .apply(
            new Mutation.Write(
                (long) cluster * CLUSTER,
                ByteBuffer.allocateDirect(CLUSTER).put(bytes).flip(),
                Mutation.Durability.CACHED),
            done);
    return done.future;
  }
}
