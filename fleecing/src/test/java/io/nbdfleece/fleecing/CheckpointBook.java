// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/// The checkpoints of a simulated server, and what each disk held at each: that is what a backup
/// has, so whatever differs from it has to be dirty since.
final class CheckpointBook {
  private final Map<String, Map<String, Entry>> byDisk = new TreeMap<>();

  /// A checkpoint of one disk.
  private static final class Entry {
    final String snapshot;
    final byte[] base;
    boolean stands;

    /// How many release its snapshot with success: perhaps it stands already.
    int confirming;

    /// Transactions under way that delete it.
    int deleting;

    Entry(String snapshot, byte[] base) {
      this.snapshot = snapshot;
      this.base = base;
    }
  }

  private Map<String, Entry> of(String disk) {
    return byDisk.computeIfAbsent(disk, _ -> new LinkedHashMap<>());
  }

  private Collection<Entry> all() {
    List<Entry> all = new ArrayList<>();
    byDisk.values().forEach(each -> all.addAll(each.values()));
    return all;
  }

  void begin(String disk, String name, String snapshot, byte[] base) {
    of(disk).put(name, new Entry(snapshot, base));
  }

  void remove(String disk, String name) {
    of(disk).remove(name);
  }

  void deleting(List<TransactionAction> actions, int more) {
    for (TransactionAction action : actions) {
      if (action instanceof TransactionAction.DeleteCheckpoint(String disk, String name)) {
        Optional.ofNullable(of(disk).get(name)).ifPresent(entry -> entry.deleting += more);
      }
    }
  }

  void confirming(String snapshot, int more) {
    all().stream()
        .filter(entry -> entry.snapshot.equals(snapshot))
        .forEach(entry -> entry.confirming += more);
  }

  /// The snapshot has been released.
  void released(String snapshot, boolean success) {
    for (Map<String, Entry> entries : byDisk.values()) {
      entries.values().removeIf(entry -> entry.snapshot.equals(snapshot) && !success);
      entries.values().stream()
          .filter(entry -> entry.snapshot.equals(snapshot))
          .forEach(entry -> entry.stands = true);
    }
  }

  /// Those that stand, and that nobody deletes now.
  List<String> standing(String disk) {
    return of(disk).entrySet().stream()
        .filter(each -> each.getValue().stands && each.getValue().deleting == 0)
        .map(Map.Entry::getKey)
        .toList();
  }

  /// The sectors that have to be dirty since it when the disk holds this; empty when it is not
  /// there.
  Optional<BitSet> required(String disk, String name, byte[] content) {
    return Optional.ofNullable(of(disk).get(name))
        .map(entry -> BitmapBook.differing(entry.base, content));
  }

  /// The server says which of them there are, with nothing under way; those that are not there any
  /// more are forgotten.
  ///
  /// @param snapshots that there are
  /// @param restarted so that those have gone that did not stand
  /// @param mayBeLost whether any may be missing
  /// @return what is wrong with that
  List<String> settle(
      String disk, Set<String> found, Set<String> snapshots, boolean restarted, boolean mayBeLost) {
    List<String> wrongs = new ArrayList<>();
    for (Map.Entry<String, Entry> each : List.copyOf(of(disk).entrySet())) {
      String name = each.getKey();
      Entry entry = each.getValue();
      boolean isThere = found.contains(name);
      boolean unsure = entry.confirming > 0 || entry.deleting > 0;
      boolean pendingIsThere = !restarted && snapshots.contains(entry.snapshot);
      if (!isThere && !mayBeLost && !unsure && (entry.stands || pendingIsThere)) {
        wrongs.add("checkpoint " + name + " of disk " + disk + " is gone");
      }
      if (isThere && !entry.stands && !unsure && !pendingIsThere) {
        wrongs.add("checkpoint " + name + " of disk " + disk + " stands without a success");
      }
      if (isThere) {
        entry.stands |= restarted;
        entry.confirming = 0;
        entry.deleting = 0;
      } else {
        remove(disk, name);
      }
    }
    for (String name : found) {
      if (!of(disk).containsKey(name) && !mayBeLost) {
        wrongs.add("checkpoint " + name + " of disk " + disk + " is there again");
      }
    }
    return wrongs;
  }

  /// Of each snapshot that was being released with success, the disks on which it stands: all or
  /// none.
  void requireWhole(Map<String, Set<String>> found) {
    Map<String, Boolean> stands = new TreeMap<>();
    byDisk.forEach(
        (disk, entries) ->
            entries.forEach(
                (name, entry) -> {
                  boolean isThere = found.getOrDefault(disk, Set.of()).contains(name);
                  if (entry.confirming > 0 && entry.deleting == 0) {
                    Boolean other = stands.putIfAbsent(entry.snapshot, isThere);
                    if (other != null && other != isThere) {
                      throw new AssertionError(
                          "checkpoint " + name + " stands on a part of its disks");
                    }
                  }
                }));
  }
}
