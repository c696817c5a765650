// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// The disks by name, in the order they were added.
///
/// **Threads.** Any thread.
final class Disks {
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final Map<String, ServedDisk> byName = new LinkedHashMap<>();

  /// Names of disks being added, or taken away.
  @GuardedBy("lock")
  private final Set<String> reserved = new LinkedHashSet<>();

  @GuardedBy("lock")
  private boolean closed;

  private final Condition noneReserved = lock.newCondition();

  List<ServedDisk> all() {
    lock.lock();
    try {
      return List.copyOf(byName.values());
    } finally {
      lock.unlock();
    }
  }

  Optional<ServedDisk> find(String name) {
    lock.lock();
    try {
      return Optional.ofNullable(byName.get(name));
    } finally {
      lock.unlock();
    }
  }

  ServedDisk require(String name) throws NoSuchDiskException {
    lock.lock();
    try {
      ServedDisk disk = byName.get(name);
      if (disk == null) {
        throw new NoSuchDiskException(
            "no disk is called "
                + ShownNames.of(name)
                + " (disks: "
                + ShownNames.list(byName.keySet())
                + ")");
      }
      return disk;
    } finally {
      lock.unlock();
    }
  }

  /// @param names none = all that are exported: what a tool has added as a node for its own use is
  ///   not meant by who names nothing
  List<ServedDisk> choose(List<String> names) throws NoSuchDiskException {
    if (names.isEmpty()) {
      List<ServedDisk> exported =
          all().stream().filter(disk -> disk.config().isExported()).toList();
      if (exported.isEmpty()) {
        throw new NoSuchDiskException("there is no disk to freeze");
      }
      return exported;
    }
    List<ServedDisk> chosen = new ArrayList<>();
    for (String name : new LinkedHashSet<>(names)) {
      chosen.add(require(name));
    }
    return chosen;
  }

  /// Keeps a name for a disk being added, until [#add] or [#unreserve].
  void reserve(String name) throws IOException {
    lock.lock();
    try {
      if (closed) {
        throw new IOException("the server is shutting down");
      }
      if (byName.containsKey(name) || !reserved.add(name)) {
        throw new NameTakenException(
            "two disks are called " + name + ": name one of them (--disk NAME=PATH)");
      }
    } finally {
      lock.unlock();
    }
  }

  void unreserve(String name) {
    lock.lock();
    try {
      reserved.remove(name);
      if (reserved.isEmpty()) {
        noneReserved.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  void add(ServedDisk disk) {
    lock.lock();
    try {
      byName.put(disk.config().name(), disk);
    } finally {
      lock.unlock();
    }
  }

  /// Takes it away; its name is kept until [#unreserve], when it is closed.
  void retire(ServedDisk disk) {
    lock.lock();
    try {
      byName.remove(disk.config().name(), disk);
      reserved.add(disk.config().name());
    } finally {
      lock.unlock();
    }
  }

  /// Takes all away, and no more in: those that were being added or taken away are seen to first.
  ///
  /// @return those that lie in files first: a server that does not answer must not keep them from
  ///   their clean end
  List<ServedDisk> close() {
    lock.lock();
    try {
      closed = true;
      while (!reserved.isEmpty()) {
        noneReserved.awaitUninterruptibly();
      }
      List<ServedDisk> all = new ArrayList<>(byName.values());
      byName.clear();
      all.sort(Comparator.comparing(disk -> disk.file().isEmpty()));
      return all;
    } finally {
      lock.unlock();
    }
  }
}
