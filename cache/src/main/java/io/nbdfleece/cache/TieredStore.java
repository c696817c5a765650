// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import com.github.benmanes.caffeine.cache.RemovalCause;
import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.posix.IoWorkers;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/// The cluster store: RAM slots under Caffeine's policy, and a file that takes what RAM cannot
/// hold.
///
/// A background task writes evicted entries to the file and punches holes where entries were
/// released. When the file is full or fails, entries stay in RAM, nothing is lost, and
/// [#statistics] says why; the owner calls [#retryParked] now and then.
public final class TieredStore implements ClusterStore {
  /* An entry's number is its place in the file, reserved at commit: the file is sparse, so numbers
   * cost nothing. Where an entry is: in `copies` if its bytes are in RAM, else on disk. So an entry
   * on disk costs four bytes, its checksum.
   *
   * Locks. `lock` guards all state; nothing is called under it but the passive parts (RamSlots,
   * EntryNumbers, Checksums, SpillLedger). Caffeine is called without it, because Caffeine calls
   * `evicted` under locks of its own, and that takes `lock`: the order is Caffeine, then `lock`.
   *
   * Caffeine may be late. Each commit makes a new RamCopy, and an eviction counts only if `copies`
   * has that very object, so a stale one is harmless.
   *
   * What has to be told to callers is queued in `deliveries` under the lock and told outside it by
   * one thread at a time, in a loop: a callback that gives a slot back does not nest. unpin never
   * tells anybody itself, because its caller may hold a lock; the background task does it.
   *
   * A number is reused after its hole was punched, not before: so a punch never hits a new entry.
   */

  private static final System.Logger LOG = System.getLogger(TieredStore.class.getName());
  private static final long RESERVE_BYTES_MAX = 16 << 20;
  private static final int RESERVE_SLOTS_MIN = 2;

  /// Entries released under one hold of the lock.
  private static final int RELEASE_BATCH = 1024;

  private final StoreConfig config;
  private final SlotFile file;
  private final Executor executor;
  private final Runnable afterClose;
  private final DiskReader reader;
  private final Cache<Integer, RamCopy> policy;
  private final Object lock = new Object();

  @GuardedBy("lock")
  private final RamSlots slots;

  @GuardedBy("lock")
  private final EntryNumbers numbers = new EntryNumbers();

  @GuardedBy("lock")
  private final Checksums checksums = new Checksums();

  @GuardedBy("lock")
  private final SpillLedger ledger;

  @GuardedBy("lock")
  private final Map<Integer, RamCopy> copies = new HashMap<>();

  @GuardedBy("lock")
  private final Map<Integer, Pin> pins = new HashMap<>();

  @GuardedBy("lock")
  private final Deque<SlotCompletion> waiters = new ArrayDeque<>();

  @GuardedBy("lock")
  private final Deque<Runnable> deliveries = new ArrayDeque<>();

  @GuardedBy("lock")
  private boolean delivering;

  @GuardedBy("lock")
  private boolean draining;

  @GuardedBy("lock")
  private boolean closed;

  @GuardedBy("lock")
  private int owedCount;

  @GuardedBy("lock")
  private int spillingCount;

  @GuardedBy("lock")
  private long entryCount;

  @GuardedBy("lock")
  private long committedTotal;

  @GuardedBy("lock")
  private long spilledTotal;

  @GuardedBy("lock")
  private long releasedTotal;

  @GuardedBy("lock")
  private long slotWaitsTotal;

  /// `waiters` is not empty. Written under the lock, read without it.
  private volatile boolean waiting;

  /// The background task has something to do and is not scheduled. Written under the lock; read
  /// without it to make the check cheap.
  private volatile boolean drainWanted;

  /// A store over a given file, for tests and simulation.
  ///
  /// @param executor runs the background task, one at a time, never inside `execute`
  public TieredStore(StoreConfig config, SlotFile file, Executor executor) {
    this(config, file, executor, () -> {});
  }

  private TieredStore(StoreConfig config, SlotFile file, Executor executor, Runnable afterClose) {
    this.config = config;
    this.file = file;
    this.executor = executor;
    this.afterClose = afterClose;
    this.reader = new DiskReader(file, config.clusterBytes());
    this.slots = new RamSlots(config.clusterBytes(), config.ramSlotCount());
    this.ledger = new SpillLedger(config, numbers);
    this.policy =
        Caffeine.newBuilder()
            .maximumWeight((long) policySlotCount(config) * config.clusterBytes())
            .weigher((Integer entry, RamCopy copy) -> config.clusterBytes())
            .executor(Runnable::run)
            .evictionListener(this::evicted)
            .build();
  }

  /// A store with its disk tier in the scratch directory.
  ///
  /// @param workers for reads of the disk tier that have to wait, and for punching holes; stays
  ///   open
  /// @throws IOException if the scratch directory cannot be used
  public static TieredStore open(StoreConfig config, IoWorkers workers) throws IOException {
    SlotFile file =
        config.scratchSlotCount() == 0
            ? new NoSlotFile()
            : ScratchFile.create(config.scratchDirectory(), workers);
    IoWorkers spiller = new IoWorkers("nbdfleece-spiller", 1);
    return new TieredStore(config, file, spiller, spiller::close);
  }

  /// How many slots may hold entries that are not on their way to disk. The rest is for slots being
  /// filled or written; without a disk tier there is no need to hold back.
  private static int policySlotCount(StoreConfig config) {
    int all = config.ramSlotCount();
    if (config.scratchSlotCount() == 0) {
      return all;
    }
    long reserve = Math.min(all / 4, RESERVE_BYTES_MAX / config.clusterBytes());
    return all - (int) Math.max(RESERVE_SLOTS_MIN, reserve);
  }

  @Override
  public int clusterBytes() {
    return config.clusterBytes();
  }

  @Override
  public void acquire(SlotCompletion done) {
    Slot slot = null;
    IOException refusal = null;
    synchronized (lock) {
      if (closed) {
        refusal = new IOException("the store is closed");
      } else if (waiters.isEmpty()) {
        slot = slots.take();
      }
      if (slot == null && refusal == null) {
        if (isStuck()) {
          refusal = new StoreFullException(ledger.stuckText());
        } else {
          waiters.addLast(done);
          waiting = true;
          slotWaitsTotal++;
        }
      }
    }
    if (slot != null) {
      done.acquired(slot);
    } else if (refusal != null) {
      done.failed(refusal);
    } else {
      // Evictions that are due but were not made yet would keep it waiting.
      policy.cleanUp();
      kick();
    }
  }

  @Override
  public int commit(RamSlot slot) {
    RamCopy copy;
    synchronized (lock) {
      ((Slot) slot).move(Slot.Use.FILLING, Slot.Use.HELD);
      copy = new RamCopy(numbers.take(), (Slot) slot);
      copies.put(copy.entry, copy);
      entryCount++;
      committedTotal++;
    }
    policy.put(copy.entry, copy);
    if (waiting) {
      // Caffeine leaves work undone when two threads meet in it; who waits for a slot needs it.
      policy.cleanUp();
    }
    kick();
    return copy.entry;
  }

  @Override
  public void abandon(RamSlot slot) {
    synchronized (lock) {
      freeSlot((Slot) slot, Slot.Use.FILLING);
    }
    deliver();
  }

  @Override
  public void pin(int entry) {
    synchronized (lock) {
      assert !numbers.isFree(entry) : entry;
      pins.computeIfAbsent(entry, key -> new Pin()).count++;
    }
  }

  @Override
  public void unpin(int entry) {
    synchronized (lock) {
      Pin pin = pins.get(entry);
      if (pin == null) {
        throw new IllegalStateException("entry: " + entry + " (expected: pinned)");
      }
      if (--pin.count > 0) {
        return;
      }
      pins.remove(entry);
      RamCopy copy = copies.get(entry);
      if (pin.released) {
        drop(entry, copy);
      } else if (copy != null && copy.state == RamCopy.State.WRITTEN) {
        forget(copy);
      }
      failStuckWaiters();
      if (!deliveries.isEmpty() || ledger.hasWork()) {
        wantDrain();
      }
    }
    kick();
  }

  @Override
  public void read(int entry, int offsetBytes, ByteBuffer target, Completion done) {
    int lengthBytes = target.remaining();
    if (offsetBytes < 0 || lengthBytes > config.clusterBytes() - offsetBytes) {
      throw new IllegalArgumentException(
          "range: " + offsetBytes + "+" + lengthBytes + " (expected: within a cluster)");
    }
    RamCopy copy;
    int checksum = 0;
    synchronized (lock) {
      if (!pins.containsKey(entry)) {
        throw new IllegalStateException("entry: " + entry + " (expected: pinned)");
      }
      copy = copies.get(entry);
      if (copy == null) {
        checksum = checksums.get(entry);
      }
    }
    if (copy == null) {
      reader.read(entry, checksum, offsetBytes, target, done);
      return;
    }
    // The pin keeps the slot from being reused.
    target.put(target.position(), copy.slot.buffer(), offsetBytes, lengthBytes);
    target.position(target.position() + lengthBytes);
    RamCopy used = policy.getIfPresent(entry);
    assert used == null || used == copy;
    kick();
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
          RamCopy copy = release(entries[i]);
          if (copy != null) {
            unused[unusedCount++] = copy;
          }
        }
        failStuckWaiters();
        if (ledger.hasWork()) {
          wantDrain();
        }
      }
      for (int i = 0; i < unusedCount; i++) {
        policy.asMap().remove(unused[i].entry, unused[i]);
      }
      deliver();
      kick();
    }
  }

  /// @return the copy that the policy need not know any more
  @GuardedBy("lock")
  private @Nullable RamCopy release(int entry) {
    assert !numbers.isFree(entry) : entry;
    entryCount--;
    releasedTotal++;
    RamCopy copy = copies.get(entry);
    Pin pin = pins.get(entry);
    if (pin == null) {
      drop(entry, copy);
    } else {
      pin.released = true;
      if (copy != null) {
        copy.released = true;
        ledger.dequeue(copy);
        owe(copy);
      }
    }
    return copy;
  }

  @Override
  public Tier tierOf(int entry) {
    synchronized (lock) {
      RamCopy copy = copies.get(entry);
      if (copy == null) {
        return Tier.DISK;
      }
      return copy.state == RamCopy.State.RESIDENT ? Tier.RAM : Tier.SPILLING;
    }
  }

  @Override
  public StoreStatistics statistics() {
    long unit = config.clusterBytes();
    synchronized (lock) {
      return new StoreStatistics(
          slots.usedCount() * unit,
          config.ramSlotCount() * unit,
          spillingCount * unit,
          ledger.slotCount() * unit,
          config.scratchSlotCount() * unit,
          entryCount,
          committedTotal * unit,
          spilledTotal * unit,
          releasedTotal * unit,
          slotWaitsTotal,
          ledger.problem());
    }
  }

  /// Tries again to write what could not be written before. Does not wait. Call it now and then.
  public void retryParked() {
    synchronized (lock) {
      if (closed || !ledger.isBlocked()) {
        return;
      }
      ledger.unblock();
      wantDrain();
    }
    kick();
  }

  /// Waits for the operation under way on the disk tier's file, so that must be able to end
  /// meanwhile. Waiting acquires fail.
  @Override
  public void close() throws IOException {
    boolean interrupted = false;
    synchronized (lock) {
      if (closed) {
        return;
      }
      closed = true;
      drainWanted = false;
      failWaiters(new IOException("the store is closed"));
      while (!ledger.isIdle()) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    deliver();
    afterClose.run();
    policy.invalidateAll();
    synchronized (lock) {
      slots.close();
    }
    file.close();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /// Caffeine wants the entry out of RAM. Called under locks of Caffeine; whoever called Caffeine
  /// calls [#kick] next.
  private void evicted(@Nullable Integer entry, @Nullable RamCopy copy, RemovalCause cause) {
    if (copy == null) {
      return;
    }
    synchronized (lock) {
      if (copies.get(copy.entry) != copy || copy.state != RamCopy.State.RESIDENT || copy.released) {
        return;
      }
      ledger.enqueue(copy);
      spillingCount++;
      wantDrain();
    }
  }

  /// The entry is gone for good: nobody has released it before, and nobody has it pinned.
  @GuardedBy("lock")
  private void drop(int entry, @Nullable RamCopy copy) {
    if (copy == null) {
      ledger.giveUp(entry);
    } else if (copy.state == RamCopy.State.WRITING) {
      copy.released = true; // The end of the write drops it.
    } else {
      copy.released = true;
      ledger.dequeue(copy);
      forget(copy);
      if (copy.hasDiskSlot) {
        ledger.giveUp(entry);
      } else {
        numbers.giveBack(entry, 1);
      }
    }
  }

  /// The entry is not in RAM any more.
  @GuardedBy("lock")
  private void forget(RamCopy copy) {
    copies.remove(copy.entry);
    if (copy.owed) {
      owedCount--;
    }
    if (copy.state != RamCopy.State.RESIDENT) {
      spillingCount--;
    }
    freeSlot(copy.slot, Slot.Use.HELD);
  }

  @GuardedBy("lock")
  private void owe(RamCopy copy) {
    if (!copy.owed) {
      copy.owed = true;
      owedCount++;
    }
  }

  /// The slot is for who waits longest, else free.
  @GuardedBy("lock")
  private void freeSlot(Slot slot, Slot.Use from) {
    slots.giveBack(slot, from);
    if (waiters.isEmpty()) {
      return;
    }
    Slot given = slots.take();
    if (given != null) {
      SlotCompletion waiter = waiters.removeFirst();
      waiting = !waiters.isEmpty();
      deliveries.addLast(() -> waiter.acquired(given));
    }
  }

  @GuardedBy("lock")
  private boolean isStuck() {
    return owedCount == 0 && ledger.isStuck();
  }

  @GuardedBy("lock")
  private void failStuckWaiters() {
    if (!waiters.isEmpty() && isStuck()) {
      failWaiters(new StoreFullException(ledger.stuckText()));
    }
  }

  @GuardedBy("lock")
  private void failWaiters(IOException error) {
    for (SlotCompletion waiter : waiters) {
      deliveries.addLast(() -> waiter.failed(error));
    }
    waiters.clear();
    waiting = false;
  }

  /// Tells callers what is queued for them, unless another thread is at it.
  private void deliver() {
    synchronized (lock) {
      if (delivering) {
        return;
      }
      delivering = true;
    }
    while (true) {
      Runnable delivery;
      synchronized (lock) {
        delivery = deliveries.pollFirst();
        if (delivery == null) {
          delivering = false;
          return;
        }
      }
      try {
        delivery.run();
      } catch (RuntimeException e) {
        LOG.log(System.Logger.Level.ERROR, "a slot completion failed", e);
      }
    }
  }

  @GuardedBy("lock")
  private void wantDrain() {
    drainWanted = !draining && !closed;
  }

  /// Schedules the background task if there is something for it.
  private void kick() {
    if (!drainWanted) {
      return;
    }
    synchronized (lock) {
      if (!drainWanted) {
        return;
      }
      drainWanted = false;
      draining = true;
    }
    executor.execute(this::drain);
  }

  /// The background task: until nothing is left that can be begun.
  private void drain() {
    while (true) {
      deliver();
      SpillWork work;
      synchronized (lock) {
        work = closed ? null : ledger.next();
        if (work == null) {
          failStuckWaiters();
          if (deliveries.isEmpty() || delivering) {
            draining = false;
            return;
          }
          continue;
        }
      }
      switch (work) {
        case SpillWork.Write write -> write(write.copy());
        case SpillWork.Punch punch -> punch(punch);
      }
    }
  }

  private void write(RamCopy copy) {
    ByteBuffer bytes = copy.slot.buffer().duplicate().clear();
    int checksum = Checksums.of(bytes);
    file.write(
        (long) copy.entry * config.clusterBytes(),
        bytes.clear(),
        new Completion() {
          @Override
          public void succeeded() {
            wrote(copy, checksum);
          }

          @Override
          public void failed(IOException error) {
            writeFailed(copy, error);
          }
        });
  }

  private void wrote(RamCopy copy, int checksum) {
    synchronized (lock) {
      ledger.wrote(copy);
      checksums.set(copy.entry, checksum);
      spilledTotal++;
      if (pins.containsKey(copy.entry)) {
        owe(copy);
      } else if (copy.released) {
        drop(copy.entry, copy);
      } else {
        forget(copy);
      }
      afterIo();
    }
    deliver();
    kick();
  }

  private void writeFailed(RamCopy copy, IOException error) {
    synchronized (lock) {
      ledger.writeFailed(copy, error);
      if (copy.released) {
        ledger.dequeue(copy);
        if (!pins.containsKey(copy.entry)) {
          drop(copy.entry, copy);
        }
      }
      afterIo();
    }
    LOG.log(System.Logger.Level.DEBUG, "spilling failed", error);
    deliver();
    kick();
  }

  private void punch(SpillWork.Punch punch) {
    file.punch(
        (long) punch.first() * config.clusterBytes(),
        (long) punch.count() * config.clusterBytes(),
        new Completion() {
          @Override
          public void succeeded() {
            punched(punch);
          }

          @Override
          public void failed(IOException error) {
            // The space is ours still, and is used again for the next entry with that number.
            LOG.log(System.Logger.Level.DEBUG, "punching a hole failed", error);
            punched(punch);
          }
        });
  }

  private void punched(SpillWork.Punch punch) {
    synchronized (lock) {
      ledger.punched(punch);
      afterIo();
    }
    deliver();
    kick();
  }

  @GuardedBy("lock")
  private void afterIo() {
    failStuckWaiters();
    if (ledger.hasWork()) {
      wantDrain();
    }
    lock.notifyAll();
  }

  /// The pins of one entry.
  private static final class Pin {
    int count;
    boolean released;
  }
}
