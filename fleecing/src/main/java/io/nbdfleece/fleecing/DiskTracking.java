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
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;

/// The bitmaps of one disk as they are now, who uses them, and what a write marks.
///
/// **Threads.** Any thread. The configuration changes only by transactions, of which there is one
/// at a time; uses come and go between, but never of a bitmap that the transaction under way names.
/// The lock guards decisions only.
final class DiskTracking implements BitmapWork {
  private final TrackingNode node;
  private final Optional<DiskState> state;
  private final String volatileBecause;
  private final boolean skipUnchanged;
  private final ReentrantLock lock = new ReentrantLock();

  private volatile DiskBitmaps current;
  private volatile boolean stateLost;

  /// How often each bitmap is in use.
  @GuardedBy("lock")
  private final Map<String, Integer> uses = new HashMap<>();

  /// Those that the transaction under way names.
  @GuardedBy("lock")
  private final Set<String> claimed = new HashSet<>();

  /// @param volatileBecause why bitmaps cannot be persistent, when there is no state
  DiskTracking(
      TrackingNode node,
      DiskBitmaps found,
      Optional<DiskState> state,
      String volatileBecause,
      boolean skipUnchanged) {
    this.node = node;
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

  /// Has writes mark the arrays of all these configurations.
  void mark(Collection<DiskBitmaps> configurations) {
    LinkedHashSet<BitArray> arrays = new LinkedHashSet<>();
    configurations.forEach(bitmaps -> arrays.addAll(bitmaps.arrays()));
    boolean persistently = configurations.stream().anyMatch(DiskBitmaps::recordsPersistently);
    Optional<DurableMarks> log = persistently ? state.map(DiskState::marks) : Optional.empty();
    node.track(
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
      case Live live -> live.bits().toSet();
      case BitmapContent.Still still -> still.set();
      case BitmapContent.Sealed _ ->
          state
              .orElseThrow(() -> new IllegalStateException("sealed without a state directory"))
              .load(BitmapRecords.of(bitmap));
      case BitmapContent.Lost _ -> throw BitmapException.inconsistent(bitmap.name());
    };
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
