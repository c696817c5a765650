// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// The copies under way of one hook, at most one per cluster, and what becomes of the writes that
/// wait for them. A copy that does not stand here any more counts for nothing.
///
/// **Threads.** [#join], [#forgetThoseNobodyNeeds] and the counters are called under the hook's
/// lock; all else takes it.
final class ClusterCopies {
  /// How much one write copies at once: what an event loop may do without yielding.
  private static final int COPY_BYTES_PER_STEP_MAX = 4 << 20;

  /// A write that waits for so long is worth telling.
  private static final long SLOW_NANOS = TimeUnit.SECONDS.toNanos(5);

  /// Clusters looked at in one go under the lock.
  private static final int LOOKED_AT_MAX = 65_536;

  /// When the store is as full as this, clusters are preserved whole: one that has been preserved
  /// in part takes a second slot while it becomes whole.
  private static final int FILLED_PERMILLE_MAX_FOR_PARTS = 900;

  /// When it is as full as this, a part is read back from the disk tier rather than left there
  /// beside the whole.
  private static final int FILLED_PERMILLE_MAX_FOR_BOTH = 250;

  private final int copiesPerStepMax;

  private final FleecingHook hook;

  // Both guarded by the hook's lock, which lies in another object; asserted where not taken.
  private final Map<Integer, ClusterCopy> table = new HashMap<>();

  private long preserved;
  private boolean slowTold;

  ClusterCopies(FleecingHook hook) {
    this.hook = hook;
    this.copiesPerStepMax =
        Math.clamp(COPY_BYTES_PER_STEP_MAX / hook.geometry().clusterBytes(), 1, 64);
  }

  /// Clusters preserved since the start.
  long preserved() {
    assert hook.lock.isHeldByCurrentThread();
    return preserved;
  }

  /// Copies under way, for tests.
  int inFlight() {
    hook.lock.lock();
    try {
      return table.size();
    } finally {
      hook.lock.unlock();
    }
  }

  /// Lets the write wait for a copy of each of its next clusters that needs one, and gives back the
  /// new ones. Of a cluster that has been prefetched that copy is kept, and nothing is waited for.
  ///
  /// @param kept gets the entries of those, for [io.nbdfleece.cache.ClusterStore#kept]
  List<ClusterCopy> join(GuestWrite write, EntryList kept) {
    assert hook.lock.isHeldByCurrentThread();
    List<ClusterCopy> toStart = List.of();
    int lookedAt = 0;
    for (int room = copiesPerStepMax;
        room > 0 && lookedAt < LOOKED_AT_MAX && write.hasMoreClusters();
        lookedAt++) {
      int cluster = write.nextCluster();
      int blocks = write.blocksOf(cluster);
      if (!hook.ledger().needsPreserve(cluster, blocks)) {
        continue;
      }
      ClusterCopy copy = table.get(cluster);
      if (copy == null && preserveClean(write, cluster, kept)) {
        continue;
      }
      room--;
      if (write.copyingSinceNanos == 0) {
        write.copyingSinceNanos = Math.max(1, hook.nanoTime());
      }
      if (copy == null) {
        copy = newCopy(write, cluster);
        table.put(cluster, copy);
        if (toStart.isEmpty()) {
          toStart = new ArrayList<>(4);
        }
        toStart.add(copy);
        write.preserves = true;
      } else if ((blocks & ~copy.blocks) != 0) {
        write.lookAgainAt(cluster);
      }
      copy.awaitedBlocks |= blocks & copy.blocks;
      copy.waiters.add(write);
      write.await();
    }
    return toStart;
  }

  private ClusterCopy newCopy(GuestWrite write, int cluster) {
    int all = hook.geometry().blocksOf(cluster);
    int blocks = write.blocksOf(cluster);
    boolean ofPart =
        blocks != all
            && write.firstCluster == write.lastCluster
            && hook.ledger().mayPreservePart(cluster, blocks)
            && !followsWholeCopy(cluster, blocks)
            && hook.store().filledPermille() < FILLED_PERMILLE_MAX_FOR_PARTS;
    return new ClusterCopy(
        cluster,
        ofPart ? blocks : all,
        hook.ledger().newestPart(cluster),
        hook.ledger().hasPart(cluster) ? hook.ledger().newest() : null,
        hook.nanoTime());
  }

  /// As the ledger would say of a neighbour that is preserved already.
  private boolean followsWholeCopy(int cluster, int blocks) {
    ClusterCopy neighbour = (blocks & 1) == 0 ? null : table.get(cluster - 1);
    return neighbour != null && neighbour.blocks == hook.geometry().blocksOf(cluster - 1);
  }

  /// Pins the part from before that a copy is to contain, if it is what the newest epoch has still.
  /// Not one that is in the disk tier, because a guest waits: as long as there is much room, the
  /// whole may stand beside it.
  boolean pinBefore(ClusterCopy copy) {
    hook.lock.lock();
    try {
      Part before = copy.before;
      if (before == null || !before.equals(hook.ledger().newestPart(copy.cluster))) {
        return false;
      }
      int entry = ClusterMap.entryOf(before.version());
      if (hook.store().filledPermille() < FILLED_PERMILLE_MAX_FOR_BOTH
          && hook.store().tierOf(entry) == Tier.DISK) {
        return false;
      }
      hook.store().pin(entry);
      copy.beforeIsPinned = true;
      return true;
    } finally {
      hook.lock.unlock();
    }
  }

  private boolean preserveClean(GuestWrite write, int cluster, EntryList kept) {
    int version = hook.clean().keep(cluster);
    if (version == ClusterMap.ABSENT) {
      return false;
    }
    hook.ledger().preserve(cluster, version); // I2: the store holds it
    preserved++;
    write.preserves = true;
    if (ClusterMap.isEntry(version)) {
      kept.add(ClusterMap.entryOf(version));
    }
    return true;
  }

  boolean knowsAny(List<ClusterCopy> copies) {
    hook.lock.lock();
    try {
      return copies.stream().anyMatch(copy -> table.get(copy.cluster) == copy);
    } finally {
      hook.lock.unlock();
    }
  }

  /// The store holds the clusters of these copies, as these versions.
  void ended(List<ClusterCopy> copies, int[] versions) {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      for (int i = 0; i < versions.length; i++) {
        ClusterCopy copy = copies.get(i);
        if (table.remove(copy.cluster, copy) && preserve(copy, versions[i], after)) {
          hook.clean().drop(copy.cluster, after);
          preserved += copy.before == null ? 1 : 0;
          letGo(copy, after);
        } else if (ClusterMap.isEntry(versions[i])) {
          after.freed.add(ClusterMap.entryOf(versions[i]));
        }
      }
      for (PreservedQuota quota : hook.ledger().dueQuotas()) {
        after.tell(quota::act);
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
  }

  /// @return false if it is of no use: the newest epoch is another one than it is valid for
  private boolean preserve(ClusterCopy copy, int version, Aftermath after) {
    EpochLedger ledger = hook.ledger();
    if (copy.validFor != null && copy.validFor != ledger.newest()) {
      for (GuestWrite write : copy.waiters) {
        write.lookAgainAt(copy.cluster);
      }
      letGo(copy, after);
      return false;
    }
    if (copy.blocks != hook.geometry().blocksOf(copy.cluster)) {
      ledger.preserve(copy.cluster, new Part(version, copy.blocks));
      return true;
    }
    ledger.preserve(copy.cluster, version);
    Part before = copy.containsBefore ? copy.before : null;
    if (before != null && before.equals(ledger.newestPart(copy.cluster))) {
      ledger.supersedePart(copy.cluster, after.freed);
    }
    return true;
  }

  /// The store cannot take the cluster. If a snapshot insists, the write is refused, which keeps
  /// every snapshot whole; else those that need the cluster break (I5: one of the two, never both).
  void failed(ClusterCopy copy, IOException error) {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      if (table.get(copy.cluster) == copy) {
        String reason = "cannot preserve " + describe(copy.cluster) + ": " + error.getMessage();
        List<Epoch> needing = hook.ledger().needing(copy.cluster, copy.awaitedBlocks);
        if (needing.isEmpty() || anyInsists(needing)) {
          table.remove(copy.cluster);
          refuse(copy, reason, error);
          letGo(copy, after);
        } else {
          for (Epoch epoch : needing) {
            hook.end(epoch, reason, true, after); // the last one makes the copy be forgotten
          }
        }
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
  }

  private static boolean anyInsists(List<Epoch> needing) {
    for (Epoch epoch : needing) {
      if (epoch.terms.onCbwError() == OnCbwError.BREAK_GUEST_WRITE) {
        return true;
      }
    }
    return false;
  }

  /// The old content cannot be read, so it is lost anyway. Unless a snapshot insists, only this
  /// cluster of it is: reading it fails, the guest's write goes through and heals the disk.
  void unreadable(ClusterCopy copy, IOException error) {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      if (table.remove(copy.cluster, copy)) {
        String reason = "cannot read " + describe(copy.cluster) + ": " + error.getMessage();
        List<Epoch> needing =
            hook.ledger().needing(copy.cluster, hook.geometry().blocksOf(copy.cluster));
        if (anyInsists(needing)) {
          refuse(copy, reason, error);
        } else {
          needing.removeIf(epoch -> hook.ledger().lacks(epoch, copy.cluster));
          hook.ledger().preserve(copy.cluster, ClusterMap.LOST);
          hook.clean().drop(copy.cluster, after);
          if (!needing.isEmpty()) {
            tellLost(copy.cluster, needing, reason, after);
          }
        }
        letGo(copy, after);
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
  }

  /// The store cannot read the copy of a cluster any more: those who see it lack that cluster from
  /// now on, and are whole else.
  ///
  /// @return whether the reader lacks it; else it has it elsewhere
  boolean damaged(Epoch reader, int cluster, int entry, IOException error) {
    Aftermath after = new Aftermath(hook);
    boolean lacks;
    hook.lock.lock();
    try {
      List<Epoch> lacking = hook.ledger().damage(reader, cluster, entry, after.freed);
      hook.clean().drop(cluster, entry, after);
      lacks = reader.hasEnded() || hook.ledger().lacks(reader, cluster);
      if (!lacking.isEmpty()) {
        String reason = "cannot read back " + describe(cluster) + ": " + error.getMessage();
        tellLost(cluster, lacking, reason, after);
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
    return lacks;
  }

  private void tellLost(int cluster, List<Epoch> lacking, String reason, Aftermath after) {
    List<String> snapshots = lacking.stream().map(epoch -> epoch.terms.name()).toList();
    long offsetBytes = hook.geometry().offsetOf(cluster);
    int lengthBytes = hook.geometry().lengthOf(cluster);
    after.tell(
        () ->
            hook.listener().clusterLost(hook.disk(), snapshots, offsetBytes, lengthBytes, reason));
  }

  /// Applies the deadlines of the snapshots and the budget of guest writes to the copies under way.
  /// To be called every so often, on a thread that never touches a disk.
  void expire() {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      long now = hook.nanoTime();
      long oldestNanos = 0;
      long oldestOffset = 0;
      for (ClusterCopy copy : List.copyOf(table.values())) {
        if (table.get(copy.cluster) == copy && !copy.waiters.isEmpty()) {
          long ageNanos = now - sinceNanos(copy);
          if (ageNanos > oldestNanos) {
            oldestNanos = ageNanos;
            oldestOffset = hook.geometry().offsetOf(copy.cluster);
          }
          expire(copy, ageNanos, after);
        }
      }
      Optional<GuestWrite> awaitsReads = hook.reads.longestWaiting();
      if (awaitsReads.isPresent()) {
        GuestWrite write = awaitsReads.get();
        long waitedNanos = write.waitedNanos + now - write.readsAwaitedSinceNanos;
        if (waitedNanos > oldestNanos) {
          oldestNanos = waitedNanos;
          oldestOffset = write.mutation.offsetBytes();
        }
      }
      tellIfSlow(oldestNanos, oldestOffset, after);
      hook.keepBudget(now, oldestNanos, after);
    } finally {
      hook.lock.unlock();
    }
    after.runElsewhere();
  }

  /// Since when the copy, or what it is the last part of, has held a write up.
  private static long sinceNanos(ClusterCopy copy) {
    long since = copy.startedNanos;
    for (GuestWrite write : copy.waiters) {
      if (write.copyingSinceNanos != 0 && write.copyingSinceNanos - since < 0) {
        since = write.copyingSinceNanos;
      }
    }
    return since;
  }

  private void tellIfSlow(long waitedNanos, long offsetBytes, Aftermath after) {
    boolean slow = waitedNanos >= SLOW_NANOS;
    if (slow && !slowTold) {
      after.tell(() -> hook.listener().guestWriteSlow(hook.disk(), offsetBytes, waitedNanos));
    }
    slowTold = slow;
  }

  private void expire(ClusterCopy copy, long ageNanos, Aftermath after) {
    // When those who waited for its blocks have been refused, the copy still holds up who came
    // later and waits for others.
    int heldUpBy = copy.awaitedBlocks == 0 ? copy.blocks : copy.awaitedBlocks;
    List<Epoch> needing = hook.ledger().needing(copy.cluster, heldUpBy);
    boolean insisted = anyInsists(needing);
    for (Epoch epoch : needing) {
      long timeoutNanos = epoch.terms.cbwTimeoutNanos();
      if (timeoutNanos == 0 || ageNanos < timeoutNanos) {
        continue;
      }
      String reason =
          "preserving "
              + describe(copy.cluster)
              + " took longer than "
              + timeoutNanos / 1_000_000
              + " ms (--cbw-timeout); the disk or the scratch directory is too slow";
      if (!insisted) {
        hook.end(epoch, reason, true, after);
      } else if (epoch.terms.onCbwError() == OnCbwError.BREAK_GUEST_WRITE) {
        refuse(copy, reason, new IOException("timed out"));
        letGo(copy, after);
        return;
      }
    }
  }

  private void refuse(ClusterCopy copy, String reason, IOException cause) {
    IOException refusal =
        new IOException(
            reason
                + "; the write was refused to keep the snapshot (on-cbw-error=break-guest-write)",
            cause);
    for (GuestWrite write : copy.waiters) {
      write.refuse(refusal);
    }
  }

  /// The writes that waited for this copy need not wait for it any longer.
  private void letGo(ClusterCopy copy, Aftermath after) {
    for (GuestWrite write : copy.waiters) {
      if (write.arrived()) {
        after.resume(write);
      }
    }
    copy.waiters.clear();
    copy.awaitedBlocks = 0;
  }

  private String describe(int cluster) {
    return "the cluster at offset " + hook.geometry().offsetOf(cluster) + " of disk " + hook.disk();
  }

  void forgetThoseNobodyNeeds(Aftermath after) {
    assert hook.lock.isHeldByCurrentThread();
    for (ClusterCopy copy : List.copyOf(table.values())) {
      if (!hook.ledger().needsPreserve(copy.cluster, copy.awaitedBlocks)) {
        table.remove(copy.cluster);
        letGo(copy, after);
      }
    }
  }
}
