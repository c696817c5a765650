// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// The registered reads: snapshot reads that are reading clusters from the disk right now. A writer
/// waits for those that overlap (I4). Each lasts as long as one read of the backend into private
/// memory, never as long as a client pleases (I8). Guarded by the hook's lock.
final class ActiveReads {
  /// A sentinel: the list is circular and never empty.
  private final Registration head = new Registration(0, -1);

  ActiveReads() {
    head.previous = head;
    head.next = head;
  }

  boolean isEmpty() {
    return head.next == head;
  }

  Registration register(int firstCluster, int lastCluster) {
    Registration read = new Registration(firstCluster, lastCluster);
    Registration last = head.previous;
    read.previous = last;
    read.next = head;
    if (last != null) {
      last.next = read;
    }
    head.previous = read;
    return read;
  }

  /// Takes a read out and gives back the writers that waited for it, each once.
  List<GuestWrite> unregister(Registration read) {
    Registration previous = read.previous;
    Registration next = read.next;
    if (previous != null && next != null) {
      previous.next = next;
      next.previous = previous;
    }
    List<GuestWrite> waiting = read.writers;
    return waiting == null ? List.of() : waiting;
  }

  /// Lets a writer wait for every read that overlaps its clusters.
  ///
  /// @return how many there are
  int await(GuestWrite writer, int firstCluster, int lastCluster) {
    int count = 0;
    for (Registration read = head.next; read != head && read != null; read = read.next) {
      if (read.firstCluster <= lastCluster && firstCluster <= read.lastCluster) {
        if (read.writers == null) {
          read.writers = new ArrayList<>(2);
        }
        read.writers.add(writer);
        count++;
      }
    }
    return count;
  }

  /// The writer that has waited longest, if any waits.
  Optional<GuestWrite> longestWaiting() {
    GuestWrite longest = null;
    for (Registration read = head.next; read != head && read != null; read = read.next) {
      for (GuestWrite writer : read.writers == null ? List.<GuestWrite>of() : read.writers) {
        if (longest == null || writer.readsAwaitedSinceNanos - longest.readsAwaitedSinceNanos < 0) {
          longest = writer;
        }
      }
    }
    return Optional.ofNullable(longest);
  }

  /// One registered read and its place in the list.
  static final class Registration {
    private final int firstCluster;
    private final int lastCluster;
    private @Nullable Registration previous;
    private @Nullable Registration next;
    private @Nullable List<GuestWrite> writers;

    private Registration(int firstCluster, int lastCluster) {
      this.firstCluster = firstCluster;
      this.lastCluster = lastCluster;
    }
  }
}
