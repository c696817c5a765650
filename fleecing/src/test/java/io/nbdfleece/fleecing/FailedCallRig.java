// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/// An engine over a disk and a scratch file in memory, of whose calls one fails, and what may come
/// of that: the table of ARCHITECTURE.md ("When preserving fails").
final class FailedCallRig implements AutoCloseable {
  static final int CLUSTER = 4096;
  static final int RAM_CLUSTERS = 16;

  private final OnCbwError policy;
  final NthCall calls;
  final NthCall.Disk disk;

  /// What the disk must hold: each change that succeeded, and no other.
  final byte[] expected;

  final FleecingEngine engine;
  private @Nullable TieredStore store;
  private final ExecutorService spiller = Executors.newSingleThreadExecutor();
  private final EventSubscription subscription;
  private final Random random = new Random(5);

  /// Clusters that were told to be lost: snapshot and offset.
  private final Set<String> told = new ConcurrentSkipListSet<>();

  FailedCallRig(Path directory, int clusters, int scratchClusters, OnCbwError policy, NthCall calls)
      throws IOException {
    this.policy = policy;
    this.calls = calls;
    byte[] content = new byte[clusters * CLUSTER];
    new Random(1).nextBytes(content);
    this.expected = content.clone();
    this.disk = calls.new Disk(content);
    this.engine =
        FleecingEngine.open(
            new EngineConfig(
                CLUSTER,
                (long) RAM_CLUSTERS * CLUSTER,
                directory,
                (long) scratchClusters * CLUSTER,
                2),
            Optional.empty(),
            System::nanoTime,
            (config, _) -> {
              TieredStore made = new TieredStore(config, calls.new Scratch(), spiller);
              store = made;
              return made;
            });
    this.subscription =
        engine.subscribe(
            event -> {
              if (event instanceof EngineEvent.ClusterLost lost) {
                lost.snapshots().forEach(name -> told.add(name + "+" + lost.offsetBytes()));
              }
            });
    var _ = engine.addDisk(new DiskConfig("vda", "memory", DiskConfig.Access.READ_WRITE), disk);
  }

  SnapshotView freeze(String name, SnapshotRequest.Increment increment) throws IOException {
    var _ =
        EngineRig.get(
            engine.snapshot(
                new SnapshotRequest(
                    List.of("vda"),
                    Optional.of(name),
                    SnapshotRequest.Access.READ_ONLY,
                    policy,
                    Duration.ZERO,
                    increment,
                    SnapshotRequest.Lifetime.UNTIL_RELEASED)));
    return engine.takenSnapshot(name).orElseThrow().part("vda").orElseThrow().view();
  }

  /// The guest changes the disk, in one of the ways there are.
  void change(int offset, int length) {
    byte[] now = new byte[length];
    Mutation mutation =
        switch (random.nextInt(4)) {
          case 0 -> new Mutation.Discard(offset, length, Mutation.Durability.CACHED);
          case 1 ->
              new Mutation.Zero(
                  offset, length, Mutation.Provisioning.KEEP, Mutation.Durability.CACHED);
          default -> {
            random.nextBytes(now);
            yield new Mutation.Write(
                offset,
                ByteBuffer.allocateDirect(length).put(now).flip(),
                Mutation.Durability.CACHED);
          }
        };
    try {
      EngineRig.Done done = new EngineRig.Done();
      engine.disk("vda").orElseThrow().top().apply(mutation, done);
      var _ = EngineRig.get(done.future);
      System.arraycopy(now, 0, expected, offset, length);
    } catch (IOException e) {
      boolean ofDisk = calls.hasFailed("write disk") && EngineRig.message(e).contains("write disk");
      boolean ofPolicy =
          calls.failed().isPresent()
              && policy == OnCbwError.BREAK_GUEST_WRITE
              && EngineRig.message(e).contains("break-guest-write");
      assertTrue(ofDisk || ofPolicy, () -> "a guest write failed: " + e + why());
    }
    assertEquals(-1, Arrays.mismatch(expected, disk.content), () -> "the disk is wrong" + why());
  }

  /// What the engine does once a second.
  void retry() {
    if (store != null) {
      store.retryParked();
    }
  }

  void flush() {
    retry();
    try {
      EngineRig.Done done = new EngineRig.Done();
      engine.disk("vda").orElseThrow().top().flush(done);
      var _ = EngineRig.get(done.future);
    } catch (IOException e) {
      assertTrue(calls.hasFailed("sync disk"), () -> "a flush failed: " + e + why());
    }
  }

  private String why() {
    return " after a failed call: " + calls.failed();
  }

  /// What a backup has of a view.
  static final class Pulled {
    final byte[] copy;

    /// Offsets of the clusters that it could not read.
    final Set<Integer> lacking;

    private final boolean broken;

    Pulled(byte[] copy, Set<Integer> lacking, boolean broken) {
      this.copy = copy;
      this.lacking = lacking;
      this.broken = broken;
    }

    boolean isWhole() {
      return lacking.isEmpty() && !broken;
    }
  }

  /// Reads those clusters, those that failed once more, and looks whether each byte and each
  /// failure is as it may be.
  Pulled pull(SnapshotView view, byte[] truth, List<Integer> offsets) {
    byte[] copy = new byte[truth.length];
    Set<Integer> lacking = new TreeSet<>();
    for (int offset : offsets) {
      boolean got = read(view, truth, offset, copy);
      if (!got) {
        got = read(view, truth, offset, copy);
      }
      if (!got) {
        lacking.add(offset);
      }
    }
    boolean broken = view.brokenBecause().isPresent();
    if (broken) {
      assertEquals(OnCbwError.BREAK_SNAPSHOT, policy);
      assertTrue(calls.mayFail("write scratch"), () -> "broken: " + view.brokenBecause() + why());
    } else {
      Set<Integer> lost = new TreeSet<>();
      for (SnapshotView.LostRange range : view.statistics().lostRanges()) {
        for (int at = 0; at < range.lengthBytes(); at += CLUSTER) {
          lost.add((int) range.offsetBytes() + at);
        }
      }
      lost.retainAll(offsets);
      assertTrue(
          calls.isStill("read disk") ? lacking.containsAll(lost) : lacking.equals(lost),
          () -> "lacking " + lacking + ", told: " + lost + why());
    }
    return new Pulled(copy, lacking, broken);
  }

  /// @return whether it could be read
  private boolean read(SnapshotView view, byte[] truth, int offset, byte[] copy) {
    String cluster = view.terms().name() + "+" + offset;
    try {
      byte[] got = EngineRig.read(view, offset, CLUSTER);
      assertFalse(told.contains(cluster), "a lost cluster was read");
      assertEquals(
          -1,
          Arrays.mismatch(got, Arrays.copyOfRange(truth, offset, offset + CLUSTER)),
          () -> "wrong bytes at " + offset + why());
      System.arraycopy(got, 0, copy, offset, CLUSTER);
      return true;
    } catch (IOException e) {
      String text = EngineRig.message(e);
      if (text.contains("is lost: ")) {
        Awaitility.await().pollInterval(Duration.ofMillis(1)).until(() -> told.contains(cluster));
        assertTrue(
            calls.hasFailed("read disk") || calls.mayFail("read scratch"),
            () -> "lost: " + text + why());
      } else if (text.contains(SnapshotView.BROKEN_TEXT)) {
        assertTrue(calls.mayFail("write scratch"), () -> text + why());
      } else {
        assertTrue(calls.hasFailed("read disk") && text.contains("read disk"), () -> text + why());
      }
      return false;
    }
  }

  /// Nothing is left of snapshots that are not there any more.
  void assertNothingLeft() {
    Awaitility.await()
        .pollInterval(Duration.ofMillis(1))
        .untilAsserted(
            () -> {
              retry();
              StoreStatistics left = engine.storeStatistics();
              assertEquals(0, left.entries(), "entries");
              assertEquals(0, left.ramBytes(), "RAM");
              assertEquals(0, left.diskBytes(), "scratch");
              assertEquals("", left.problem());
            });
  }

  @Override
  public void close() throws IOException {
    subscription.close();
    try {
      engine.close();
    } catch (IOException e) {
      assertTrue(calls.failed().isPresent(), () -> "close: " + e);
    } finally {
      spiller.shutdown();
    }
  }
}
