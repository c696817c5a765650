// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.concurrent.locks.ReentrantLock;

/// Who has a disk open: clients, and exports that were added and show it or a bitmap of it. A disk
/// goes only when nobody has, and from that moment on nobody gets in: so nobody ever has a disk
/// that is closed.
///
/// **Threads.** Any thread; nothing waits.
public final class DiskUsers {
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private int clients;

  @GuardedBy("lock")
  private int holds;

  @GuardedBy("lock")
  private boolean closed;

  DiskUsers() {}

  /// Counts one more client, until [#left].
  ///
  /// @return false when the disk has gone: that client has to be sent away before its first request
  public boolean entered() {
    lock.lock();
    try {
      clients++;
      return !closed;
    } finally {
      lock.unlock();
    }
  }

  /// A client that [#entered] counted has gone.
  public void left() {
    lock.lock();
    try {
      clients--;
    } finally {
      lock.unlock();
    }
  }

  /// Keeps the disk, without being a client, until [#released].
  public void held() throws NoSuchDiskException {
    lock.lock();
    try {
      if (closed) {
        throw new NoSuchDiskException("the disk has been removed");
      }
      holds++;
    } finally {
      lock.unlock();
    }
  }

  /// What [#held] began is over.
  public void released() {
    lock.lock();
    try {
      holds--;
    } finally {
      lock.unlock();
    }
  }

  /// How many clients there are.
  public int clientCount() {
    lock.lock();
    try {
      return clients;
    } finally {
      lock.unlock();
    }
  }

  /// Lets nobody in from now on, if there is nobody.
  void closeIfUnused(String disk) throws DiskBusyException {
    lock.lock();
    try {
      requireNone(disk);
      closed = true;
    } finally {
      lock.unlock();
    }
  }

  /// Fails when there is somebody.
  void requireNone(String disk) throws DiskBusyException {
    lock.lock();
    try {
      if (clients > 0) {
        throw new DiskBusyException(
            "disk " + disk + " is in use: connections=" + clients + "; disconnect them first");
      }
      if (holds > 0) {
        throw new DiskBusyException(
            "disk " + disk + " is in use: an export shows it or a bitmap of it; delete that first");
      }
    } finally {
      lock.unlock();
    }
  }

  /// Lets nobody in from now on, whoever there is.
  void close() {
    lock.lock();
    try {
      closed = true;
    } finally {
      lock.unlock();
    }
  }
}
