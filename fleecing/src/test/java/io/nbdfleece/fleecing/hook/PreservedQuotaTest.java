// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static io.nbdfleece.fleecing.hook.HookedDisk.CLUSTER;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// A snapshot for which ten clusters may be preserved.
final class PreservedQuotaTest {
  private static final int CLUSTERS_MAX = 10;

  private final HookedDisk disk = new HookedDisk(64, 64);
  private final List<Long> near = new ArrayList<>();
  private final PreservedQuota quota = new PreservedQuota((long) CLUSTERS_MAX * CLUSTER, near::add);

  @AfterEach
  void close() throws IOException {
    disk.close();
  }

  private SnapshotView freezeWithQuota(HookedDisk of, OnCbwError policy) {
    return of.freeze(new SnapshotTerms("s", Access.DISCARD, policy, 0, Optional.of(quota)));
  }

  private void write(HookedDisk to, int from, int end) {
    for (int i = from; i < end; i++) {
      assertTrue(to.write(i).isDone());
    }
  }

  @Test
  void atFourFifthsItIsToldAndBeyondTheLimitItBreaksAndTheGuestGoesOn() {
    SnapshotView view = freezeWithQuota(disk, OnCbwError.BREAK_GUEST_WRITE);
    write(disk, 0, 7);
    assertEquals(List.of(), near);
    write(disk, 7, 10);
    write(disk, 0, 10); // again: nothing to preserve
    assertEquals(List.of(8L * CLUSTER), near);
    assertTrue(view.brokenBecause().isEmpty());
    write(disk, 10, 11);
    assertEquals(0, disk.content[10 * CLUSTER]);
    assertTrue(view.brokenBecause().orElse("").contains("max-preserved"));
    assertEquals(0, disk.store.statistics().entries());
    assertEquals(1, disk.broken.size());
  }

  @Test
  void zeroesDoNotCount() {
    Arrays.fill(disk.content, 0, 32 * CLUSTER, (byte) 0);
    SnapshotView view = freezeWithQuota(disk, OnCbwError.BREAK_SNAPSHOT);
    write(disk, 0, 32);
    assertEquals(List.of(), near);
    assertTrue(view.brokenBecause().isEmpty());
  }

  @Test
  void whatTheClientHasReleasedDoesNotCountAnyMore() {
    SnapshotView view = freezeWithQuota(disk, OnCbwError.BREAK_SNAPSHOT);
    for (int i = 0; i < 60; i += 9) {
      write(disk, i, i + 9);
      view.discard((long) i * CLUSTER, 9L * CLUSTER, Outcome.mustSucceed());
      view.discard((long) i * CLUSTER, 9L * CLUSTER, Outcome.mustSucceed());
    }
    assertTrue(view.brokenBecause().isEmpty());
    assertEquals(7, near.size(), "told again only after it was well below");
  }

  @Test
  void theLimitIsForAllDisksTogetherAndBreaksTheSnapshotOnAllOfThem() throws Exception {
    try (HookedDisk other = new HookedDisk(64, 64)) {
      SnapshotView one = freezeWithQuota(disk, OnCbwError.BREAK_SNAPSHOT);
      SnapshotView two = freezeWithQuota(other, OnCbwError.BREAK_SNAPSHOT);
      write(disk, 0, 6);
      write(other, 0, 4);
      assertTrue(one.brokenBecause().isEmpty());
      write(other, 4, 5);
      assertTrue(one.brokenBecause().isPresent());
      assertTrue(two.brokenBecause().isPresent());
      assertEquals(0, disk.store.statistics().entries());
      assertEquals(0, other.store.statistics().entries());
    }
  }

  @Test
  void whatSeveralSnapshotsShareCountsForEachAndOnlyFromItsBeginningOn() {
    SnapshotView early = disk.freeze(Access.READ_ONLY, 0);
    write(disk, 0, 8);
    Arrays.fill(disk.content, 0, 8 * CLUSTER, (byte) 9);
    SnapshotView limited = freezeWithQuota(disk, OnCbwError.BREAK_SNAPSHOT);
    write(disk, 0, 5); // its own, the early one has them
    SnapshotView late = disk.freeze(Access.READ_ONLY, 0);
    write(disk, 20, 25); // shared by all three
    assertTrue(limited.brokenBecause().isEmpty());
    Arrays.fill(disk.content, 0, 8 * CLUSTER, (byte) 9);
    write(disk, 0, 5); // of the late one alone
    late.release();
    assertTrue(limited.brokenBecause().isEmpty());
    write(disk, 30, 31);
    assertTrue(limited.brokenBecause().isPresent());
    assertTrue(early.brokenBecause().isEmpty());
    assertEquals(21, HookedDisk.byteOf(early, 20));
  }

  @Test
  void aPrefetchedCopyThatIsKeptCounts() {
    SnapshotView view = freezeWithQuota(disk, OnCbwError.BREAK_SNAPSHOT);
    HookedDisk.prefetch(view, 0, 20).join();
    assertTrue(view.brokenBecause().isEmpty());
    write(disk, 0, 10);
    assertEquals(List.of(8L * CLUSTER), near);
    write(disk, 10, 11);
    assertTrue(view.brokenBecause().isPresent());
  }

  @Test
  void whatCannotBeReadFromTheStoreAnyMoreDoesNotCount() {
    EpochLedger ledger =
        new EpochLedger(
            new ClusterGeometry(64L * CLUSTER, CLUSTER), new PartBudget(Long.MAX_VALUE));
    SnapshotTerms limited =
        new SnapshotTerms("s", Access.READ_ONLY, OnCbwError.BREAK_SNAPSHOT, 0, Optional.of(quota));
    Epoch reader = ledger.begin(limited);
    for (int cluster = 0; cluster < 8; cluster++) {
      ledger.preserve(cluster, new Part(ClusterMap.ofEntry(cluster), 1));
    }
    ledger.preserve(0, ClusterMap.ofEntry(8));
    quota.act();
    assertEquals(List.of(8L * CLUSTER), near);
    for (int cluster = 0; cluster < 8; cluster++) {
      ledger.damage(reader, cluster, cluster, new EntryList());
    }
    // Of cluster 0 the whole is left, which counts, and is not counted anew for another one.
    for (int cluster = 1; cluster < 8; cluster++) {
      ledger.preserve(cluster, ClusterMap.ofEntry(8 + cluster));
    }
    quota.act();
    assertEquals(List.of(8L * CLUSTER, 8L * CLUSTER), near);
    ledger.damage(reader, 0, 8, new EntryList());
    ledger.end(reader, new EntryList());
    limited = new SnapshotTerms("t", limited.access(), limited.onCbwError(), 0, limited.quota());
    ledger.begin(limited);
    for (int cluster = 0; cluster < CLUSTERS_MAX; cluster++) {
      ledger.preserve(cluster, ClusterMap.ofEntry(cluster));
    }
    quota.act(); // tells that it is near, so it is not exhausted
    assertEquals(List.of(8L * CLUSTER, 8L * CLUSTER, 10L * CLUSTER), near);
  }

  @Test
  void aLimitOfNothingIsNone() {
    assertThrows(IllegalArgumentException.class, () -> new PreservedQuota(0, near::add));
  }
}
