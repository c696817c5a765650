// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;

/// The snapshots by name, oldest first, and the names given to those being taken.
///
/// **Threads.** Any thread.
final class Snapshots {
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final Map<String, Snapshot> byName = new LinkedHashMap<>();

  /// Names of snapshots being taken.
  @GuardedBy("lock")
  private final Set<String> reserved = new LinkedHashSet<>();

  /// Names of snapshots being ended.
  @GuardedBy("lock")
  private final Set<String> ending = new LinkedHashSet<>();

  @GuardedBy("lock")
  private int number;

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

  /// Keeps a name for a snapshot being taken, until [#unreserve].
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

  /// Adds one; the bitmaps that it is since are busy from now on.
  void add(Snapshot snapshot) {
    snapshot
        .parts()
        .forEach(part -> snapshot.sinceBitmap(part).ifPresent(part.disk().tracking()::use));
    lock.lock();
    try {
      byName.put(snapshot.name(), snapshot);
    } finally {
      lock.unlock();
    }
  }

  /// Takes care that nobody else ends this one, until [#remove] or [#stay].
  Snapshot beginEnding(String name) throws NoSuchSnapshotException {
    lock.lock();
    try {
      Snapshot snapshot = byName.get(name);
      if (snapshot == null) {
        throw new NoSuchSnapshotException(
            "no snapshot is called "
                + ShownNames.of(name)
                + " (snapshots: "
                + ShownNames.list(byName.keySet())
                + ")");
      }
      if (!ending.add(name)) {
        throw new NoSuchSnapshotException("snapshot " + name + " is being released already");
      }
      return snapshot;
    } finally {
      lock.unlock();
    }
  }

  /// It could not be ended.
  void stay(Snapshot snapshot) {
    lock.lock();
    try {
      ending.remove(snapshot.name());
    } finally {
      lock.unlock();
    }
  }

  boolean isEnding(Snapshot snapshot) {
    lock.lock();
    try {
      return ending.contains(snapshot.name());
    } finally {
      lock.unlock();
    }
  }

  /// Ends its views; its bitmaps are not busy any more.
  void remove(Snapshot snapshot) {
    lock.lock();
    try {
      byName.remove(snapshot.name());
      ending.remove(snapshot.name());
    } finally {
      lock.unlock();
    }
    snapshot
        .parts()
        .forEach(
            part -> {
              part.view().release();
              snapshot.sinceBitmap(part).ifPresent(part.disk().tracking()::unuse);
            });
  }
}
