// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// The snapshots by name, oldest first, and the names given to those being taken. Each is announced
/// once when it comes, and once when it goes, whoever ends it.
///
/// **Threads.** Any thread.
final class Snapshots {
  private final EventHub events;
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final Map<String, Snapshot> byName = new LinkedHashMap<>();

  /// Names of snapshots being taken.
  @GuardedBy("lock")
  private final Set<String> reserved = new LinkedHashSet<>();

  /// Those being ended: by identity, as names come again.
  @GuardedBy("lock")
  private final Set<Snapshot> ending = new LinkedHashSet<>();

  /// No ending may begin any more.
  @GuardedBy("lock")
  private boolean closed;

  private final Condition noneEnding = lock.newCondition();

  @GuardedBy("lock")
  private int number;

  Snapshots(EventHub events) {
    this.events = events;
  }

  List<Snapshot> all() {
    lock.lock();
    try {
      return List.copyOf(byName.values());
    } finally {
      lock.unlock();
    }
  }

  Optional<Snapshot> find(String name) {
    lock.lock();
    try {
      return Optional.ofNullable(byName.get(name));
    } finally {
      lock.unlock();
    }
  }

  /// Keeps a name for a snapshot being taken, until [#add], or [#unreserve] when that fails.
  String reserve(Optional<String> wanted) throws NameTakenException {
    lock.lock();
    try {
      String name;
      if (wanted.isPresent()) {
        name = wanted.get();
        if (isTaken(name)) {
          throw new NameTakenException(
              "there is a snapshot called "
                  + name
                  + " already: release it, or choose another name");
        }
      } else {
        do {
          name = "snap-" + ++number;
        } while (isTaken(name));
      }
      reserved.add(name);
      return name;
    } finally {
      lock.unlock();
    }
  }

  @GuardedBy("lock")
  private boolean isTaken(String name) {
    return byName.containsKey(name) || reserved.contains(name);
  }

  void unreserve(String name) {
    lock.lock();
    try {
      reserved.remove(name);
    } finally {
      lock.unlock();
    }
  }

  /// Adds one, under the name reserved for it, and announces it; the bitmaps that it is since are
  /// busy from now on.
  void add(Snapshot snapshot) {
    SnapshotStatus status = snapshot.status();
    snapshot
        .parts()
        .forEach(part -> snapshot.sinceBitmap(part).ifPresent(part.disk().tracking()::use));
    lock.lock();
    try {
      reserved.remove(snapshot.name()); // not later: the name may be another one's then
      byName.put(snapshot.name(), snapshot);
      // Here, so that it never comes after the news of the end. Nobody is called inside.
      events.publish(new EngineEvent.SnapshotCreated(status));
    } finally {
      lock.unlock();
    }
  }

  /// Tells that a snapshot will end before long.
  void nearLimit(String name, EngineEvent.Limit limit, long used, long max) {
    events.snapshotNearLimit(name, limit, used, max);
  }

  /// Takes care that nobody else ends this one, until [#end] or [#stay].
  Snapshot beginEnding(String name) throws IOException {
    lock.lock();
    try {
      if (closed) {
        throw new IOException("the server is shutting down");
      }
      Snapshot snapshot = byName.get(name);
      if (snapshot == null) {
        throw new NoSuchSnapshotException(
            "no snapshot is called "
                + ShownNames.of(name)
                + " (snapshots: "
                + ShownNames.list(byName.keySet())
                + ")");
      }
      if (!ending.add(snapshot)) {
        throw new NoSuchSnapshotException("snapshot " + name + " is being released already");
      }
      return snapshot;
    } finally {
      lock.unlock();
    }
  }

  /// The same of this very one.
  ///
  /// @return false when it is being ended already, or has been, or no more endings begin
  boolean beginEnding(Snapshot snapshot) {
    lock.lock();
    try {
      return !closed && snapshot.equals(byName.get(snapshot.name())) && ending.add(snapshot);
    } finally {
      lock.unlock();
    }
  }

  /// Its ending is over: it could not be ended, or it has been.
  void stay(Snapshot snapshot) {
    lock.lock();
    try {
      ending.remove(snapshot);
      if (ending.isEmpty()) {
        noneEnding.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /// Has no ending begin any more, and returns when those under way are over.
  void closeEndings() {
    lock.lock();
    try {
      closed = true;
      while (!ending.isEmpty()) {
        noneEnding.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }

  boolean isEnding(Snapshot snapshot) {
    lock.lock();
    try {
      return ending.contains(snapshot);
    } finally {
      lock.unlock();
    }
  }

  /// Ends its views and announces that, unless that has been done; its bitmaps are not busy any
  /// more.
  void end(Snapshot snapshot, Optional<Boolean> success, Optional<String> reason) {
    lock.lock();
    try {
      if (!byName.remove(snapshot.name(), snapshot)) {
        return;
      }
    } finally {
      lock.unlock();
    }
    snapshot
        .parts()
        .forEach(
            part -> {
              part.view().release();
              part.disk().tracking().endFreeze(part.view());
              snapshot.sinceBitmap(part).ifPresent(part.disk().tracking()::unuse);
            });
    events.publish(new EngineEvent.SnapshotEnded(snapshot.name(), success, reason));
    stay(snapshot);
  }
}
