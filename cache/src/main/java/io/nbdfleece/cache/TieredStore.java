// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.posix.IoWorkers;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// The cluster store: RAM slots under Caffeine's policy, and a file that takes what RAM cannot
/// hold.
///
/// A background task writes evicted entries to the file, punches holes where entries were released,
/// and touches RAM ahead of its use. When the file is full or fails, entries stay in RAM, nothing
/// is lost, and [#statistics] says why; the owner calls [#retryParked] now and then.
public final class TieredStore implements ClusterStore {
  /* Locks. `lock` guards all state, and nothing is called under it but the passive parts
   * (EntryTable and what that owns). Caffeine is called without it, because Caffeine calls
   * `evicted` under locks of its own, and that takes `lock`: the order is Caffeine, `lock`,
   * Deliveries.
   *
   * Caffeine only advises. Each commit makes a new RamCopy, and an eviction counts only if the
   * table has that very object: a late one is harmless. Who called Caffeine then kicks the spiller.
   *
   * Callers are told things by `deliveries`, outside the lock. unpin never tells anybody itself,
   * because its caller may hold a lock; the spiller does it.
   */

  /// Entries released under one hold of the lock.
  private static final int RELEASE_BATCH = 1024;

  private final int clusterBytes;
  private final SlotFile file;
  private final Runnable afterClose;
  private final DiskReader reader;
  private final Deliveries deliveries = new Deliveries();
  private final Spiller spiller;
  private final RamPolicy policy;
  private final Object lock = new Object();

  /// One change of sizes at a time. Before Caffeine in the order of locks.
  private final Object sizing = new Object();

  @GuardedBy("sizing")
  private StoreConfig config;

  @GuardedBy("lock")
  private final EntryTable table;

  @GuardedBy("lock")
  private boolean closed;

  /// Closed, and no operation on the file is under way.
  private final CompletableFuture<Void> idle = new CompletableFuture<>();

  /// Somebody may wait for a slot. Set under the lock, read without it.
  private volatile boolean waiting;

  /// As the table says. Set under the lock, read without it.
  private volatile int filledPermille;

  /// A store over a given file, for tests and simulation.
  ///
  /// @param executor runs the background task, one at a time, never inside `execute`
  public TieredStore(StoreConfig config, SlotFile file, Executor executor) {
    this(config, file, executor, () -> {});
  }

  private TieredStore(StoreConfig config, SlotFile file, Executor executor, Runnable afterClose) {
    this.config = config;
    this.clusterBytes = config.clusterBytes();
    this.file = file;
    this.afterClose = afterClose;
    this.reader = new DiskReader(file, config.clusterBytes());
    this.spiller =
        new Spiller(new SpillSource(), file, config.clusterBytes(), executor, deliveries);
    this.table = new EntryTable(config, deliveries, spiller::want);
    this.policy = new RamPolicy(config, this::evicted);
  }

  /// A store with its disk tier in the scratch directory.
  ///
  /// @param workers for reads of the disk tier that have to wait, and for punching holes; stays
  ///   open
  /// @throws IOException if the scratch directory cannot be used
  public static TieredStore open(StoreConfig config, Executor workers) throws IOException {
    SlotFile file = LateSlotFile.of(config, workers);
    IoWorkers spiller = new IoWorkers("nbdfleece-spiller", 1);
    return new TieredStore(config, file, spiller, spiller::close);
  }

  @Override
  public int clusterBytes() {
    return clusterBytes;
  }

  /// Has RAM ready for the first clusters that will come. Does not wait.
  public void prepare() {
    synchronized (lock) {
      if (!closed) {
        table.slots().prepare();
      }
    }
    spiller.kick();
  }

  @Override
  public void acquire(int count, SlotCompletion done) {
    if (count < 1) {
      throw new IllegalArgumentException("count: " + count + " (expected: at least 1)");
    }
    List<RamSlot> slots = List.of();
    synchronized (lock) {
      if (closed) {
        deliveries.add(() -> done.failed(closedError()));
      } else {
        slots = table.takeSlotsOrWait(count, done);
        if (slots.isEmpty()) {
          waiting = table.hasWaiters();
        }
      }
    }
    if (slots.isEmpty()) {
      policy.evictWhatIsDue();
      spiller.kick();
    } else {
      done.acquired(slots);
    }
    deliveries.deliver(); // to the caller if he waits, and to the owners of spare copies
  }

  private static IOException closedError() {
    return new IOException("the store is closed");
  }

  @Override
  public int[] commit(List<? extends RamSlot> slots) {
    RamCopy[] copies = new RamCopy[slots.size()];
    int[] entries = new int[copies.length];
    synchronized (lock) {
      for (int i = 0; i < copies.length; i++) {
        copies[i] = table.commit(slots.get(i));
        entries[i] = copies[i].entry;
      }
      gauge();
    }
    for (RamCopy copy : copies) {
      policy.put(copy);
    }
    // Looked at after the put: who began to wait before it was set may have found nothing to evict.
    if (waiting) {
      policy.evictWhatIsDue();
    }
    spiller.kick();
    return entries;
  }

  @Override
  public void abandon(List<? extends RamSlot> slots) {
    synchronized (lock) {
      slots.forEach(table::abandon);
      settle();
    }
    deliveries.deliver();
  }

  @Override
  public Optional<RamSlot> acquireSpare() {
    Slot slot;
    synchronized (lock) {
      slot = closed ? null : table.takeSpareSlot();
    }
    tellLater();
    return Optional.ofNullable(slot);
  }

  /// For those whose caller may hold a lock.
  private void tellLater() {
    if (deliveries.isDue()) {
      spiller.want();
    }
    spiller.kick();
  }

  @Override
  public int commitSpare(RamSlot slot, IntConsumer whenDropped) {
    int entry;
    synchronized (lock) {
      entry = table.commitSpare(slot, whenDropped);
      afterChange();
    }
    tellLater();
    return entry;
  }

  @Override
  public boolean pinSpare(int entry) {
    synchronized (lock) {
      return table.pinSpare(entry);
    }
  }

  @Override
  public boolean keep(int entry) {
    synchronized (lock) {
      boolean kept = table.keep(entry);
      gauge();
      return kept;
    }
  }

  @Override
  public void kept(int[] entries, int count) {
    for (int i = 0; i < count; i++) {
      policy.follow(entries[i], this::resident);
    }
    spiller.kick();
  }

  private @Nullable RamCopy resident(int entry) {
    synchronized (lock) {
      return table.resident(entry);
    }
  }

  @Override
  public boolean prefetch(int entry, Completion done) {
    Slot slot;
    int checksum;
    synchronized (lock) {
      boolean inRam = table.pinnedCopy(entry) != null;
      slot = inRam || closed ? null : table.takeSpareSlot();
      if (slot == null && !inRam) {
        return false;
      }
      table.pin(entry);
      checksum = slot == null ? 0 : table.checksum(entry);
    }
    tellLater();
    if (slot == null) {
      unpin(entry);
      done.succeeded();
    } else {
      ByteBuffer bytes = slot.buffer().duplicate().clear();
      reader.read(entry, checksum, 0, bytes, new ReadBack(this, entry, slot, done));
    }
    return true;
  }

  /// The slot has been filled with the bytes of an entry of the disk tier.
  void restored(int entry, Slot slot) {
    synchronized (lock) {
      table.restored(entry, slot);
      settle();
    }
    deliveries.deliver();
  }

  @Override
  public void pin(int entry) {
    synchronized (lock) {
      table.pin(entry);
    }
  }

  @Override
  public void unpin(int entry) {
    synchronized (lock) {
      table.unpin(entry);
      afterChange();
    }
    tellLater();
  }

  @Override
  public void read(int entry, int offsetBytes, ByteBuffer target, Completion done) {
    int lengthBytes = target.remaining();
    if (offsetBytes < 0 || lengthBytes > clusterBytes - offsetBytes) {
      throw new IllegalArgumentException(
          "range: " + offsetBytes + "+" + lengthBytes + " (expected: within a cluster)");
    }
    RamCopy copy;
    int checksum;
    synchronized (lock) {
      copy = table.pinnedCopy(entry);
      checksum = copy == null ? table.checksum(entry) : 0;
    }
    if (copy == null) {
      reader.read(entry, checksum, offsetBytes, target, done);
      return;
    }
    // The pin keeps the slot from being reused.
    target.put(target.position(), copy.slot.buffer(), offsetBytes, lengthBytes);
    target.position(target.position() + lengthBytes);
    RamCopy used = policy.used(entry);
    assert used == null || used == copy;
    spiller.kick();
    done.succeeded();
  }

  @Override
  public void release(int[] entries, int count) {
    RamCopy[] unused = new RamCopy[Math.min(count, RELEASE_BATCH)];
    for (int first = 0; first < count; first += RELEASE_BATCH) {
      int end = Math.min(count, first + RELEASE_BATCH);
      int unusedCount = 0;
      synchronized (lock) {
        for (int i = first; i < end; i++) {
          RamCopy copy = table.release(entries[i]);
          if (copy != null) {
            unused[unusedCount++] = copy;
          }
        }
        afterChange();
      }
      for (int i = 0; i < unusedCount; i++) {
        policy.remove(unused[i]);
      }
      deliveries.deliver();
      spiller.kick();
    }
  }

  @Override
  public Tier tierOf(int entry) {
    synchronized (lock) {
      return table.tierOf(entry);
    }
  }

  @Override
  public int filledPermille() {
    return filledPermille;
  }

  @GuardedBy("lock")
  private void gauge() {
    int now = table.filledPermille();
    if (now != filledPermille) {
      filledPermille = now;
    }
  }

  @Override
  public StoreStatistics statistics() {
    synchronized (lock) {
      return table.statistics();
    }
  }

  /// Tries again to write what could not be written before. Does not wait. Call it now and then.
  public void retryParked() {
    synchronized (lock) {
      if (closed || !table.ledger().isBlocked()) {
        return;
      }
      table.ledger().unblock();
      spiller.want();
    }
    spiller.kick();
  }

  /// Gives the tiers other sizes, while they are in use; both are as for [StoreConfig]. RAM that is
  /// too much is given back to the system when what it holds has been spilled. May wait for the
  /// scratch directory.
  ///
  /// @throws IOException if what is held does not fit, or there can be no disk tier; nothing has
  ///   changed then
  public void resize(long ramBytesMax, long scratchBytesMax) throws IOException {
    synchronized (sizing) {
      StoreConfig next = config.resized(ramBytesMax, scratchBytesMax);
      if (next.scratchSlotCount() > 0) {
        file.prepare();
      }
      synchronized (lock) {
        if (closed) {
          throw closedError();
        }
        table.resize(next);
        afterChange();
      }
      config = next;
      policy.resize(next);
    }
    policy.evictWhatIsDue();
    deliveries.deliver();
    spiller.kick();
  }

  /// Keeps half of RAM free for what comes, or as little as usual.
  public void spillSooner(boolean sooner) {
    policy.spillSooner(sooner);
    spiller.kick();
  }

  /// Waits for the operations under way on the disk tier's file, so those must be able to end
  /// meanwhile. Waiting acquires fail.
  @Override
  public void close() throws IOException {
    synchronized (lock) {
      if (closed) {
        return;
      }
      closed = true;
      spiller.stop();
      table.failWaiters(closedError());
      noteIfIdle();
    }
    idle.join();
    deliveries.deliver();
    afterClose.run();
    policy.clear();
    synchronized (lock) {
      table.close();
    }
    file.close();
  }

  @GuardedBy("lock")
  private void noteIfIdle() {
    if (closed && table.ledger().isIdle()) {
      boolean _ = idle.complete(null);
    }
  }

  /// Caffeine wants the entry out of RAM. Called under locks of Caffeine.
  private void evicted(RamCopy copy) {
    synchronized (lock) {
      if (table.evict(copy)) {
        spiller.want();
      }
    }
  }

  /// Slots may have gone free, and work come up.
  @GuardedBy("lock")
  private void afterChange() {
    settle();
    gauge();
    if (table.ledger().hasWork()) {
      spiller.want();
    }
    noteIfIdle();
  }

  @GuardedBy("lock")
  private void settle() {
    table.settle();
    waiting = table.hasWaiters();
  }

  /// What the spiller sees of the store.
  private final class SpillSource implements Spiller.Source {

    @Override
    public @Nullable SpillWork next() {
      synchronized (lock) {
        SpillWork work = closed ? null : table.nextWork();
        if (work == null) {
          // Not afterChange: what waits for a punch is work that cannot be done now.
          table.failStuckWaiters();
          waiting = table.hasWaiters();
        }
        gauge();
        return work;
      }
    }

    @Override
    public void wrote(List<RamCopy> copies, int[] checksums) {
      synchronized (lock) {
        for (int i = 0; i < checksums.length; i++) {
          table.wrote(copies.get(i), checksums[i]);
        }
        afterChange();
      }
    }

    @Override
    public void writeFailed(RamCopy copy, IOException error) {
      synchronized (lock) {
        table.writeFailed(copy, error);
        afterChange();
      }
    }

    @Override
    public void punched(SpillWork.Punch punch) {
      synchronized (lock) {
        table.ledger().punched(punch);
        afterChange();
      }
    }
  }
}
