// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Live;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapWork;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.DurableMarks;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import io.nbdfleece.fleecing.bitmap.TrackingNode;
import io.nbdfleece.fleecing.hook.SnapshotView;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// The bitmaps of one disk, or of a view, as they are now, who uses them, and what a write marks.
///
/// **Threads.** Any thread. The configuration changes only by transactions, of which there is one
/// at a time; uses come and go between, but never of a bitmap that the transaction under way names.
/// The lock guards decisions only.
final class DiskTracking implements BitmapWork {
  private final Consumer<TrackingNode.Tracks> writes;
  private final Optional<DiskState> state;
  private final String volatileBecause;
  private final boolean skipUnchanged;
  private final ReentrantLock lock = new ReentrantLock();

  private volatile DiskBitmaps current;
  private volatile boolean stateLost;
  private volatile boolean removed;

  /// How often each bitmap is in use.
  @GuardedBy("lock")
  private final Map<String, Integer> uses = new HashMap<>();

  /// Those that the transaction under way names.
  @GuardedBy("lock")
  private final Set<String> claimed = new HashSet<>();

  /// By view of a snapshot that leaves bitmaps free, oldest first: what was written since its
  /// freeze.
  @GuardedBy("lock")
  private final Map<SnapshotView, BitArray> freezes = new LinkedHashMap<>();

  @GuardedBy("lock")
  private List<DiskBitmaps> marked = List.of();

  /// @param writes told what a write is to mark; must not wait
  /// @param volatileBecause why bitmaps cannot be persistent, when there is no state
  DiskTracking(
      Consumer<TrackingNode.Tracks> writes,
      DiskBitmaps found,
      Optional<DiskState> state,
      String volatileBecause,
      boolean skipUnchanged) {
    this.writes = writes;
    this.current = found;
    this.state = state;
    this.volatileBecause = volatileBecause;
    this.skipUnchanged = skipUnchanged;
    mark(List.of(found));
  }

  /// The configuration that the last transaction left.
  DiskBitmaps current() {
    return current;
  }

  /// Where persistent bitmaps are kept; absent when they are not, or not any more.
  Optional<DiskState> state() {
    return stateLost ? Optional.empty() : state;
  }

  /// The same, whether it still works or not.
  Optional<DiskState> stateToClose() {
    return state;
  }

  void loseState() {
    stateLost = true;
  }

  /// The name of the disk or view.
  String name() {
    return current.disk();
  }

  /// It is not there any more.
  void markRemoved() {
    removed = true;
  }

  void requirePresent() throws NoSuchDiskException {
    if (removed) {
      throw new NoSuchDiskException("disk " + name() + " has been removed");
    }
  }

  /// Has writes mark the arrays of all these configurations.
  void mark(Collection<DiskBitmaps> configurations) {
    lock.lock();
    try {
      marked = List.copyOf(configurations);
      track();
    } finally {
      lock.unlock();
    }
  }

  /// The disk is drained and being frozen: has writes mark this array too, until [#endFreeze].
  void markSinceFreeze(SnapshotView view, BitArray bits) {
    lock.lock();
    try {
      freezes.put(view, bits);
      track();
    } finally {
      lock.unlock();
    }
  }

  /// The view has been released. Nothing when there is no such array.
  void endFreeze(SnapshotView view) {
    lock.lock();
    try {
      if (freezes.remove(view) != null) {
        track();
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public Optional<GranuleSet> sinceFreeze() {
    Optional<BitArray> oldest;
    lock.lock();
    try {
      oldest = freezes.values().stream().findFirst();
    } finally {
      lock.unlock();
    }
    return oldest.map(BitArray::toSet);
  }

  @GuardedBy("lock")
  private void track() {
    LinkedHashSet<BitArray> arrays = new LinkedHashSet<>();
    marked.forEach(bitmaps -> arrays.addAll(bitmaps.arrays()));
    arrays.addAll(freezes.values());
    boolean persistently = marked.stream().anyMatch(DiskBitmaps::recordsPersistently);
    Optional<DurableMarks> log = persistently ? state.map(DiskState::marks) : Optional.empty();
    writes.accept(
        arrays.isEmpty()
            ? TrackingNode.Tracks.NONE
            : new TrackingNode.Tracks(
                List.copyOf(arrays), log.orElse(DurableMarks.NONE), skipUnchanged));
  }

  /// Makes a configuration the current one, and the only one marked.
  void publish(DiskBitmaps next) {
    current = next;
    mark(List.of(next));
  }

  @Override
  public Live fresh(int granularityBytes, boolean persistent) throws IOException {
    long sizeBytes = current.sizeBytes();
    Optional<DiskState> keeper = state();
    if (!persistent || keeper.isEmpty()) {
      return new Live(new HeapBitArray(sizeBytes, granularityBytes), Optional.empty());
    }
    DiskState.LiveContent made = keeper.get().create(granularityBytes);
    return new Live(made.bits(), Optional.of(made.content()));
  }

  @Override
  public GranuleSet read(TrackedBitmap bitmap) throws IOException {
    return switch (bitmap.content()) {
      case Live live -> read(bitmap, live);
      case BitmapContent.Still still -> still.set();
      case BitmapContent.Sealed _ ->
          state
              .orElseThrow(() -> new IllegalStateException("sealed without a state directory"))
              .load(BitmapRecords.of(bitmap));
      case BitmapContent.Lost _ -> throw BitmapException.inconsistent(bitmap.name());
    };
  }

  private static GranuleSet read(TrackedBitmap bitmap, Live live) throws BitmapException {
    GranuleSet read;
    try {
      read = live.bits().toSet();
    } catch (InternalError e) { // of mapped memory
      live.bits().failed();
      throw BitmapException.inconsistent(bitmap.name());
    }
    if (!live.bits().isWhole()) {
      throw BitmapException.inconsistent(bitmap.name());
    }
    return read;
  }

  @Override
  public Optional<String> cannotPersist() {
    return stateLost
        ? Optional.of("the state directory has failed; see the log")
        : state.isPresent() ? Optional.empty() : Optional.of(volatileBecause);
  }

  @Override
  public boolean inUse(String name) {
    lock.lock();
    try {
      return uses.containsKey(name);
    } finally {
      lock.unlock();
    }
  }

  /// Whether somebody uses any bitmap.
  boolean isUsed() {
    lock.lock();
    try {
      return !uses.isEmpty();
    } finally {
      lock.unlock();
    }
  }

  /// From now until [#unclaim] nobody takes these into use.
  void claim(Set<String> names) {
    lock.lock();
    try {
      claimed.addAll(names);
    } finally {
      lock.unlock();
    }
  }

  void unclaim() {
    lock.lock();
    try {
      claimed.clear();
    } finally {
      lock.unlock();
    }
  }

  /// Counts one more user, without asking.
  void use(String name) {
    lock.lock();
    try {
      uses.merge(name, 1, Integer::sum);
    } finally {
      lock.unlock();
    }
  }

  void unuse(String name) {
    lock.lock();
    try {
      uses.computeIfPresent(name, (same, count) -> count == 1 ? null : count - 1);
    } finally {
      lock.unlock();
    }
  }

  /// Takes a bitmap into use, alone.
  ///
  /// @param holder told when the use is over; it holds the disk
  BitmapUse takeIntoUse(String name, DiskUsers holder) throws BitmapException {
    lock.lock();
    try {
      TrackedBitmap bitmap = current.require(name);
      if (bitmap.checkpoint().isPresent() || uses.containsKey(name) || claimed.contains(name)) {
        throw BitmapException.busy(bitmap);
      }
      if (bitmap.inconsistent()) {
        throw BitmapException.inconsistent(name);
      }
      uses.put(name, 1);
    } finally {
      lock.unlock();
    }
    return new UsedBitmap(this, name, holder);
  }
}
