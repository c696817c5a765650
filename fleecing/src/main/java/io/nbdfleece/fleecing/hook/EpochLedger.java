// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Who sees which version of which cluster. Pure bookkeeping: no I/O, no lock of its own; the
/// hook's lock guards it.
///
/// Creating a snapshot starts an epoch. A cluster preserved in epoch E is what every snapshot sees
/// that began at or before E and after the previous preserve of that cluster. So a snapshot reads
/// the first version at or after its own epoch, else the disk, and N snapshots cost one copy per
/// overwritten cluster, not N:
///
/// ```
///   epochs         1 (snap a)     2 (snap b)     3 (snap c)     disk
///   cluster 7      version 40          -         version 55     now
///   a reads 40,    b reads 55,    c reads 55 too (shared)
///   end of c:      55 moves to epoch 2: b still needs it
///   end of b:      55 is dropped if epoch 1 has its own version (40), as here
/// ```
final class EpochLedger {
  private final ClusterGeometry geometry;
  private @Nullable Epoch oldest;
  private @Nullable Epoch newest;

  /// Epochs whose snapshot has a quota.
  private int quotaCount;

  EpochLedger(ClusterGeometry geometry) {
    this.geometry = geometry;
  }

  boolean isEmpty() {
    return newest == null;
  }

  /// Starts an epoch of a snapshot of all of the disk. No change of the disk may be under way.
  Epoch begin(SnapshotTerms terms) {
    return begin(terms, OutsideClusters.none());
  }

  /// The same of a part of the disk: the clusters outside count as released from the start.
  Epoch begin(SnapshotTerms terms, OutsideClusters outside) {
    Epoch epoch = new Epoch(terms, outside, geometry.clusterCount());
    epoch.older = newest;
    if (newest == null) {
      oldest = epoch;
    } else {
      newest.newer = epoch;
    }
    newest = epoch;
    quotaCount += terms.quota().isPresent() ? 1 : 0;
    return epoch;
  }

  /// Whether some snapshot would read this cluster from the disk: then it may not change yet (I1).
  boolean needsPreserve(int cluster) {
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      if (epoch.preserved.has(cluster)) {
        return false; // this snapshot and every older one read this version or an older one
      }
      if (!epoch.released.contains(cluster)) {
        return true;
      }
    }
    return false;
  }

  /// The snapshots that would read this cluster from the disk, newest first.
  List<Epoch> needing(int cluster) {
    List<Epoch> needing = new ArrayList<>();
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      if (epoch.preserved.has(cluster)) {
        break;
      }
      if (!epoch.released.contains(cluster)) {
        needing.add(epoch);
      }
    }
    return needing;
  }

  /// Sets the preserved mark (I2: the store already holds the version).
  void preserve(int cluster, int version) {
    Epoch epoch = newest;
    if (epoch == null || epoch.preserved.put(cluster, version) != ClusterMap.ABSENT) {
      throw new IllegalStateException("cluster " + cluster + " preserved twice, or for nobody");
    }
    if (quotaCount > 0 && ClusterMap.isEntry(version)) {
      charge(epoch, cluster);
    }
  }

  /// Of a version of the newest epoch: each snapshot that reads it pays for it.
  private void charge(Epoch holder, int cluster) {
    for (Epoch epoch = holder; epoch != null; epoch = epoch.older) {
      if (epoch != holder && epoch.preserved.has(cluster)) {
        return; // this one and older ones read that version
      }
      if (epoch.terms.quota().isPresent() && !epoch.released.contains(cluster)) {
        epoch.terms.quota().get().take(geometry.clusterBytes());
        epoch.chargedClusters++;
      }
    }
  }

  private void giveBack(Epoch epoch, int clusterCount) {
    if (epoch.terms.quota().isPresent()) {
      epoch.terms.quota().get().giveBack((long) clusterCount * geometry.clusterBytes());
      epoch.chargedClusters -= clusterCount;
    }
  }

  /// Quotas about which something is to be done.
  List<PreservedQuota> dueQuotas() {
    List<PreservedQuota> due = List.of();
    for (Epoch epoch = quotaCount == 0 ? null : newest; epoch != null; epoch = epoch.older) {
      if (epoch.terms.quota().filter(PreservedQuota::isDue).isPresent()) {
        due = due.isEmpty() ? new ArrayList<>() : due;
        due.add(epoch.terms.quota().get());
      }
    }
    return due;
  }

  /// Whether there are snapshots, and none insists on being kept whole.
  boolean mayBreakAll() {
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      if (epoch.terms.onCbwError() == OnCbwError.BREAK_GUEST_WRITE) {
        return false;
      }
    }
    return newest != null;
  }

  /// All snapshots, newest first.
  List<Epoch> all() {
    List<Epoch> all = new ArrayList<>();
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      all.add(epoch);
    }
    return all;
  }

  /// The store cannot read the version of a cluster that a snapshot reads: it becomes DAMAGED, and
  /// its entry is the caller's to free.
  ///
  /// @param version what it was when the reader chose it
  /// @return the snapshots that lack the cluster from now on, newest first; nobody when the version
  ///   is not there any more
  List<Epoch> damage(Epoch reader, int cluster, int version) {
    List<Epoch> lacking = new ArrayList<>();
    if (reader.hasEnded() || version(reader, cluster) != version) {
      return lacking;
    }
    Epoch holder = reader;
    while (holder != null && !holder.preserved.has(cluster)) {
      holder = holder.newer;
    }
    for (Epoch epoch = holder; epoch != null; epoch = epoch.older) {
      if (epoch == holder) {
        epoch.preserved.put(cluster, ClusterMap.DAMAGED);
      } else if (epoch.preserved.has(cluster)) {
        break;
      }
      if (!epoch.released.contains(cluster)) {
        lacking.add(epoch);
      }
    }
    return lacking;
  }

  /// The version that a snapshot reads; ABSENT means the disk.
  int version(Epoch reader, int cluster) {
    for (Epoch epoch = reader; epoch != null; epoch = epoch.newer) {
      int version = epoch.preserved.get(cluster);
      if (version != ClusterMap.ABSENT) {
        return version;
      }
    }
    return ClusterMap.ABSENT;
  }

  /// The first cluster from `from` on, before `end`, that a snapshot does not read from the disk.
  int nextVersion(Epoch reader, int from, int end) {
    // A window at a time: a sparse old epoch is not walked to its end for each version of a new
    // one.
    for (int window = from; window < end; ) {
      int windowEnd = ClusterMap.windowEnd(window, end);
      int next = windowEnd;
      for (Epoch epoch = reader; epoch != null; epoch = epoch.newer) {
        next = epoch.preserved.nextPresent(window, next);
      }
      if (next < windowEnd) {
        return next;
      }
      window = nextFilled(reader, windowEnd, end);
    }
    return end;
  }

  /// The first cluster from `from` on, before `end`, in whose window some version may be.
  private static int nextFilled(Epoch reader, int from, int end) {
    int next = end;
    for (Epoch epoch = reader; epoch != null; epoch = epoch.newer) {
      next = epoch.preserved.nextFilled(from, next);
    }
    return next;
  }

  /// Takes an epoch out. Versions that older snapshots share move to the next older epoch; what
  /// stays in the epoch's own map, P(k) ∩ P(k−1) or all of it, nobody reads any more: the caller
  /// frees it, after letting go of the lock, because there may be millions.
  ///
  /// @param freed gets the entries of other epochs that nobody reads any more
  void end(Epoch epoch, EntryList freed) {
    quotaCount -= epoch.terms.quota().isPresent() ? 1 : 0;
    giveBack(epoch, epoch.chargedClusters);
    Epoch older = epoch.older;
    if (older != null) {
      older.preserved.absorb(epoch.preserved);
      older.newer = epoch.newer;
    } else {
      oldest = epoch.newer;
    }
    if (epoch.newer != null) {
      epoch.newer.older = older;
    } else {
      newest = older;
    }
    epoch.older = null;
    epoch.newer = null;
    // Who ended may have been the last reader of what moved down, or of what newer epochs hold.
    for (Epoch holder = older != null ? older : oldest; holder != null; holder = holder.newer) {
      dropUnreadable(holder, freed);
    }
  }

  /// Marks whole clusters released by a snapshot's client and collects the entries that nobody
  /// reads any more.
  void release(Epoch reader, int firstCluster, int endCluster, EntryList freed) {
    if (reader.terms.quota().isPresent()) {
      giveBack(reader, chargedClusters(reader, firstCluster, endCluster));
    }
    reader.released.add((long) firstCluster, (long) endCluster);
    int cluster = nextVersion(reader, firstCluster, endCluster);
    while (cluster < endCluster) {
      Epoch holder = reader;
      while (holder != null && !holder.preserved.has(cluster)) {
        holder = holder.newer;
      }
      if (holder != null) {
        dropIfUnread(holder, cluster, freed);
      }
      cluster = nextVersion(reader, cluster + 1, endCluster);
    }
  }

  private int chargedClusters(Epoch reader, int firstCluster, int endCluster) {
    int charged = 0;
    for (int cluster = nextVersion(reader, firstCluster, endCluster);
        cluster < endCluster;
        cluster = nextVersion(reader, cluster + 1, endCluster)) {
      if (!reader.released.contains(cluster) && ClusterMap.isEntry(version(reader, cluster))) {
        charged++;
      }
    }
    return charged;
  }

  /// Versions of this epoch whose every reader has released them go.
  private void dropUnreadable(Epoch holder, EntryList freed) {
    if (holder.released.isEmpty() || holder.preserved.count() == 0) {
      return; // the holder itself reads all its versions, or has none
    }
    if (holder.released.getLongCardinality() <= holder.preserved.count()) {
      holder.released.forEach(
          (int cluster) -> {
            if (holder.preserved.has(cluster)) {
              dropIfUnread(holder, cluster, freed);
            }
          });
      return;
    }
    int count = geometry.clusterCount();
    for (int cluster = holder.preserved.nextPresent(0, count);
        cluster < count;
        cluster = holder.preserved.nextPresent(cluster + 1, count)) {
      if (holder.released.contains(cluster)) {
        dropIfUnread(holder, cluster, freed);
      }
    }
  }

  private void dropIfUnread(Epoch holder, int cluster, EntryList freed) {
    for (Epoch epoch = holder; epoch != null; epoch = epoch.older) {
      if (epoch != holder && epoch.preserved.has(cluster)) {
        break; // older ones read that version
      }
      if (!epoch.released.contains(cluster)) {
        return;
      }
    }
    int version = holder.preserved.remove(cluster);
    if (ClusterMap.isEntry(version)) {
      freed.add(ClusterMap.entryOf(version));
    }
  }

  /// The oldest snapshot's epoch, for tests that walk them.
  @Nullable Epoch oldest() {
    return oldest;
  }
}
