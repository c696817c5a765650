// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import org.jspecify.annotations.Nullable;

/// Copies of clusters that have not changed since some snapshot: prefetched for its readers. They
/// are spare entries of the store, which may drop them at any time, and the mark for zeroes.
///
/// Every cluster in here is one that a snapshot would read from the disk, every block of it
/// ([EpochLedger#needsAll]). So a write to it must preserve it first (I1), and on that occasion it
/// leaves: its copy is kept as the preserved one, or dropped for another one. Who ends a snapshot
/// or releases clusters of one calls [#dropUnneeded]. So no copy here is ever older than the disk,
/// and it is what every snapshot sees that would read the disk.
///
/// **Threads.** Under the hook's lock, [#dropped] excepted.
final class CleanClusters {
  private final FleecingHook hook;

  /// Made when first needed: most disks are never prefetched.
  private @Nullable ClusterMap versions;

  CleanClusters(FleecingHook hook) {
    this.hook = hook;
  }

  boolean has(int cluster) {
    return get(cluster) != ClusterMap.ABSENT;
  }

  /// The first cluster from `from` on, before `end`, of which there is a copy; `end` if there is
  /// none.
  int nextPresent(int from, int end) {
    ClusterMap map = versions;
    return map == null || from >= end ? end : map.nextPresent(from, end);
  }

  /// What to read instead of the disk: ABSENT, ZERO or an entry, which is pinned then.
  int pinned(int cluster) {
    int version = get(cluster);
    return ClusterMap.isEntry(version) && !hook.store().pinSpare(ClusterMap.entryOf(version))
        ? ClusterMap.ABSENT
        : version;
  }

  /// Adds a copy of a cluster that has none.
  ///
  /// @param slot holds it; null: it is all zeroes
  void add(int cluster, @Nullable RamSlot slot) {
    assert hook.lock.isHeldByCurrentThread();
    assert !has(cluster) && hook.ledger().needsAll(cluster) : cluster;
    ClusterMap map = versions;
    if (map == null) {
      map = new ClusterMap(hook.geometry().clusterCount());
      versions = map;
    }
    int version = ClusterMap.ZERO;
    if (slot != null) {
      // It may be dropped at once, but dropped() cannot come by before the lock is free.
      version =
          ClusterMap.ofEntry(hook.store().commitSpare(slot, entry -> dropped(cluster, entry)));
    }
    map.put(cluster, version);
  }

  /// The copy is going to be the preserved one and belongs to the caller: ABSENT, ZERO or an entry
  /// for [io.nbdfleece.cache.ClusterStore#kept].
  int keep(int cluster) {
    int version = get(cluster);
    if (ClusterMap.isEntry(version) && !hook.store().keep(ClusterMap.entryOf(version))) {
      return ClusterMap.ABSENT; // dropped() is on its way and releases it
    }
    remove(cluster);
    return version;
  }

  void drop(int cluster, Aftermath after) {
    int version = remove(cluster);
    if (ClusterMap.isEntry(version)) {
      after.freed.add(ClusterMap.entryOf(version));
    }
  }

  /// Drops the copy if it is that entry.
  void drop(int cluster, int entry, Aftermath after) {
    if (get(cluster) == ClusterMap.ofEntry(entry)) {
      drop(cluster, after);
    }
  }

  /// Drops what no snapshot would read from the disk any more.
  void dropUnneeded(int firstCluster, int endCluster, Aftermath after) {
    assert hook.lock.isHeldByCurrentThread();
    ClusterMap map = versions;
    if (map == null) {
      return;
    }
    if (hook.ledger().isEmpty()) {
      after.free(map);
      versions = null;
      return;
    }
    int cluster = map.nextPresent(firstCluster, endCluster);
    while (cluster < endCluster) {
      if (!hook.ledger().needsAll(cluster)) {
        drop(cluster, after);
      }
      cluster = map.nextPresent(cluster + 1, endCluster);
    }
  }

  /// The store has dropped the copy. Whoever takes an entry out of the map releases it, once; that
  /// its number may stand for another copy of the same cluster by now only costs that one.
  private void dropped(int cluster, int entry) {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      drop(cluster, entry, after);
    } finally {
      hook.lock.unlock();
    }
    after.run();
  }

  private int get(int cluster) {
    assert hook.lock.isHeldByCurrentThread();
    ClusterMap map = versions;
    return map == null ? ClusterMap.ABSENT : map.get(cluster);
  }

  private int remove(int cluster) {
    ClusterMap map = versions;
    return map == null ? ClusterMap.ABSENT : map.remove(cluster);
  }
}
