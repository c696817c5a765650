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
/// overwritten cluster, or two with a part, not N:
///
/// ```
///   epochs         1 (snap a)     2 (snap b)     3 (snap c)     disk
///   cluster 7      version 40          -         version 55     now
///   a reads 40,    b reads 55,    c reads 55 too (shared)
///   end of c:      55 moves to epoch 2: b still needs it
///   end of b:      55 is dropped if epoch 1 has its own version (40), as here
/// ```
///
/// Of a cluster that is overwritten in part, that part may be all that is preserved. Who reads the
/// epoch then has the part from there, and the rest from the first whole version at or after it,
/// else the disk. A cluster has at most one part, in whichever epoch; the next write to its rest
/// preserves it whole, together with the part if that is of the same epoch.
final class EpochLedger {
  private final ClusterGeometry geometry;
  private final PartBudget partBudget;
  private final QuotaCharges quotas;
  private @Nullable Epoch oldest;
  private @Nullable Epoch newest;

  EpochLedger(ClusterGeometry geometry, PartBudget partBudget) {
    this.geometry = geometry;
    this.partBudget = partBudget;
    this.quotas = new QuotaCharges(this, geometry.clusterBytes());
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
    Epoch epoch = new Epoch(terms, outside, geometry.clusterCount(), partBudget);
    epoch.older = newest;
    if (newest == null) {
      oldest = epoch;
    } else {
      newest.newer = epoch;
    }
    newest = epoch;
    quotas.begins(epoch);
    return epoch;
  }

  /// Whether some snapshot would read any of these blocks from the disk: then they may not change
  /// yet (I1).
  boolean needsPreserve(int cluster, int blocks) {
    int fromDisk = blocks;
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      if (epoch.preserved.has(cluster)) {
        return false; // this snapshot and every older one read this version or an older one
      }
      fromDisk &= ~epoch.parts.blocks(cluster);
      if (fromDisk == 0) {
        return false;
      }
      if (!epoch.released.contains(cluster)) {
        return true;
      }
    }
    return false;
  }

  /// Whether no block of this cluster may change before it is preserved.
  boolean needsAll(int cluster) {
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      if (epoch.preserved.has(cluster) || epoch.parts.has(cluster)) {
        return false;
      }
      if (!epoch.released.contains(cluster)) {
        return true;
      }
    }
    return false;
  }

  /// The snapshots that would read any of these blocks from the disk, newest first.
  List<Epoch> needing(int cluster, int blocks) {
    List<Epoch> needing = new ArrayList<>();
    int fromDisk = blocks;
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      fromDisk &= ~epoch.parts.blocks(cluster);
      if (epoch.preserved.has(cluster) || fromDisk == 0) {
        break;
      }
      if (!epoch.released.contains(cluster)) {
        needing.add(epoch);
      }
    }
    return needing;
  }

  /// Whether a part of this cluster may be preserved, and whether that is worth while: who writes
  /// one cluster after the other is going to need the whole.
  boolean mayPreservePart(int cluster, int blocks) {
    Epoch epoch = newest;
    if (epoch == null || hasPart(cluster) || !epoch.parts.hasRoom(cluster)) {
      return false;
    }
    boolean goesOn = (blocks & 1) != 0 && cluster > 0 && epoch.preserved.has(cluster - 1);
    return !goesOn;
  }

  /// Whether there is a part of this cluster in some epoch.
  boolean hasPart(int cluster) {
    for (Epoch epoch = newest; epoch != null; epoch = epoch.older) {
      if (epoch.parts.has(cluster)) {
        return true;
      }
    }
    return false;
  }

  /// The part of a cluster that was preserved in the newest epoch, if there is one.
  @Nullable Part newestPart(int cluster) {
    return newest == null ? null : newest.parts.get(cluster);
  }

  /// Sets the preserved mark (I2: the store already holds the version).
  void preserve(int cluster, int version) {
    Epoch epoch = forWhomToPreserve(cluster);
    quotas.charge(epoch, cluster, version);
    epoch.preserved.put(cluster, version);
  }

  /// Sets the preserved mark of a part (I2: the store already holds it).
  void preserve(int cluster, Part part) {
    Epoch epoch = forWhomToPreserve(cluster);
    if (hasPart(cluster)) {
      throw new IllegalStateException("cluster " + cluster + " has a part already");
    }
    quotas.charge(epoch, cluster, part.version());
    epoch.parts.put(cluster, part);
  }

  private Epoch forWhomToPreserve(int cluster) {
    Epoch epoch = newest;
    if (epoch == null || epoch.preserved.has(cluster)) {
      throw new IllegalStateException("cluster " + cluster + " preserved twice, or for nobody");
    }
    return epoch;
  }

  /// Forgets the part of the newest epoch, because the whole version that it has now contains it.
  ///
  /// @param freed gets its entry
  void supersedePart(int cluster, EntryList freed) {
    Epoch epoch = newest;
    if (epoch == null || !epoch.preserved.has(cluster)) {
      throw new IllegalStateException("cluster " + cluster + " is not preserved");
    }
    free(epoch.parts.remove(cluster), freed);
  }

  /// Quotas about which something is to be done.
  List<PreservedQuota> dueQuotas() {
    return quotas.due(newest);
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

  /// The store cannot read an entry of a cluster that a snapshot reads: its version becomes
  /// DAMAGED. Nothing when the entry is not there any more.
  ///
  /// @param freed gets the entry
  /// @return the snapshots that lack the cluster from now on and did not before, newest first
  List<Epoch> damage(Epoch reader, int cluster, int entry, EntryList freed) {
    if (reader.hasEnded()) {
      return List.of();
    }
    int version = ClusterMap.ofEntry(entry);
    Part part = part(reader, cluster);
    Part damagedPart =
        part != null && part.version() == version
            ? new Part(ClusterMap.DAMAGED, part.blocks())
            : null;
    Epoch holder = damagedPart == null ? holder(reader, cluster) : partHolder(reader, cluster);
    if (holder == null || (damagedPart == null && holder.preserved.get(cluster) != version)) {
      return List.of();
    }
    List<Epoch> lacking = new ArrayList<>();
    for (Epoch epoch = holder; epoch != null; epoch = epoch.older) {
      if (epoch != holder && epoch.preserved.has(cluster)) {
        break;
      }
      if (!epoch.released.contains(cluster) && !lacks(epoch, cluster)) {
        lacking.add(epoch);
      }
    }
    List<Epoch> payers = quotas.payers(holder, cluster);
    if (damagedPart == null) {
      holder.preserved.put(cluster, ClusterMap.DAMAGED);
    } else {
      holder.parts.put(cluster, damagedPart);
    }
    quotas.lost(payers, cluster);
    freed.add(entry);
    return lacking;
  }

  /// Whether a snapshot has lost a cluster, or some of it, which counts as all.
  boolean lacks(Epoch reader, int cluster) {
    return lostVersion(reader, cluster) != ClusterMap.ABSENT;
  }

  /// LOST or DAMAGED if a snapshot has lost a cluster, or some of it; else ABSENT.
  int lostVersion(Epoch reader, int cluster) {
    Part part = part(reader, cluster);
    if (part != null && ClusterMap.isLost(part.version())) {
      return part.version();
    }
    int version = version(reader, cluster);
    return ClusterMap.isLost(version) ? version : ClusterMap.ABSENT;
  }

  /// The part of a cluster that comes before the version that a snapshot reads, if there is one.
  static @Nullable Part part(Epoch reader, int cluster) {
    Epoch holder = partHolder(reader, cluster);
    return holder == null ? null : holder.parts.get(cluster);
  }

  private static @Nullable Epoch partHolder(Epoch reader, int cluster) {
    for (Epoch epoch = reader; epoch != null; epoch = epoch.newer) {
      if (epoch.parts.has(cluster)) {
        return epoch;
      }
      if (epoch.preserved.has(cluster)) {
        return null;
      }
    }
    return null;
  }

  private static @Nullable Epoch holder(Epoch reader, int cluster) {
    Epoch holder = reader;
    while (holder != null && !holder.preserved.has(cluster)) {
      holder = holder.newer;
    }
    return holder;
  }

  /// Where a snapshot reads a byte from.
  Source source(Epoch reader, long offsetBytes) {
    int cluster = geometry.clusterOf(offsetBytes);
    long endBytes = geometry.endOf(cluster);
    Part part = part(reader, cluster);
    if (part != null && lacks(reader, cluster)) {
      return new Source(lostVersion(reader, cluster), endBytes);
    }
    if (part != null) {
      long partStart = geometry.offsetOf(cluster, part.blocks());
      long partEnd = geometry.endOf(cluster, part.blocks());
      if (offsetBytes < partStart) {
        endBytes = partStart;
      } else if (offsetBytes < partEnd) {
        return new Source(part.version(), partEnd);
      }
    }
    return new Source(version(reader, cluster), endBytes);
  }

  /// @param version ABSENT means the disk
  /// @param endBytes up to where the rest of the cluster has the same source
  record Source(int version, long endBytes) {}

  /// The version that a snapshot reads, but for the [#part]; ABSENT means the disk.
  int version(Epoch reader, int cluster) {
    for (Epoch epoch = reader; epoch != null; epoch = epoch.newer) {
      int version = epoch.preserved.get(cluster);
      if (version != ClusterMap.ABSENT) {
        return version;
      }
    }
    return ClusterMap.ABSENT;
  }

  /// The first cluster from `from` on, before `end`, that a snapshot does not read from the disk,
  /// or not all of it.
  int nextVersion(Epoch reader, int from, int end) {
    // A window at a time: a sparse old epoch is not walked to its end for each version of a new
    // one.
    for (int window = from; window < end; ) {
      int windowEnd = ClusterMap.windowEnd(window, end);
      int next = windowEnd;
      for (Epoch epoch = reader; epoch != null; epoch = epoch.newer) {
        next = epoch.preserved.nextPresent(window, next);
        next = epoch.parts.nextPresent(window, next);
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
      next = epoch.parts.nextFilled(from, next);
    }
    return next;
  }

  /// Takes an epoch out. Versions that older snapshots share move to the next older epoch; what
  /// stays in the epoch's own map, P(k) ∩ P(k−1) or all of it, nobody reads any more: the caller
  /// frees it, after letting go of the lock, because there may be millions.
  ///
  /// @param freed gets the entries of other epochs that nobody reads any more
  void end(Epoch epoch, EntryList freed) {
    quotas.ends(epoch);
    Epoch older = epoch.older;
    if (older != null) {
      dropWhereWhole(epoch.parts, older.preserved, freed);
      older.parts.absorb(epoch.parts);
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

  /// Parts of clusters of which older snapshots have whole versions.
  private void dropWhereWhole(PartMap parts, ClusterMap whole, EntryList freed) {
    int count = geometry.clusterCount();
    int cluster = parts.nextPresent(0, count);
    while (cluster < count) {
      int next = whole.nextFilled(cluster, count);
      if (next == cluster) {
        if (whole.has(cluster)) {
          free(parts.remove(cluster), freed);
        }
        next = cluster + 1;
      }
      cluster = parts.nextPresent(next, count);
    }
  }

  private static void free(int version, EntryList freed) {
    if (ClusterMap.isEntry(version)) {
      freed.add(ClusterMap.entryOf(version));
    }
  }

  /// Marks whole clusters released by a snapshot's client and collects the entries that nobody
  /// reads any more.
  void release(Epoch reader, int firstCluster, int endCluster, EntryList freed) {
    quotas.release(reader, firstCluster, endCluster);
    reader.released.add((long) firstCluster, (long) endCluster);
    int cluster = nextVersion(reader, firstCluster, endCluster);
    while (cluster < endCluster) {
      Epoch ofPart = partHolder(reader, cluster);
      if (ofPart != null) {
        dropIfUnread(ofPart, cluster, freed);
      }
      Epoch holder = holder(reader, cluster);
      if (holder != null) {
        dropIfUnread(holder, cluster, freed);
      }
      cluster = nextVersion(reader, cluster + 1, endCluster);
    }
  }

  /// Versions of this epoch whose every reader has released them go.
  private void dropUnreadable(Epoch holder, EntryList freed) {
    if (holder.released.isEmpty() || (holder.preserved.count() == 0 && holder.parts.count() == 0)) {
      return; // the holder itself reads all its versions, or has none
    }
    long versions = (long) holder.preserved.count() + holder.parts.count();
    if (holder.released.getLongCardinality() <= versions) {
      holder.released.forEach((int cluster) -> dropIfUnread(holder, cluster, freed));
      return;
    }
    int count = geometry.clusterCount();
    for (int cluster = holder.preserved.nextPresent(0, count);
        cluster < count;
        cluster = holder.preserved.nextPresent(cluster + 1, count)) {
      dropIfUnread(holder, cluster, freed);
    }
    for (int cluster = holder.parts.nextPresent(0, count);
        cluster < count;
        cluster = holder.parts.nextPresent(cluster + 1, count)) {
      dropIfUnread(holder, cluster, freed);
    }
  }

  /// What the epoch has of a cluster, whole or in part.
  private static void dropIfUnread(Epoch holder, int cluster, EntryList freed) {
    for (Epoch epoch = holder; epoch != null; epoch = epoch.older) {
      if (epoch != holder && epoch.preserved.has(cluster)) {
        break; // older ones read that version
      }
      if (!epoch.released.contains(cluster)) {
        return;
      }
    }
    free(holder.parts.remove(cluster), freed);
    free(holder.preserved.remove(cluster), freed);
  }

  /// The newest snapshot's epoch.
  @Nullable Epoch newest() {
    return newest;
  }

  /// The oldest snapshot's epoch, for tests that walk them.
  @Nullable Epoch oldest() {
    return oldest;
  }
}
