// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The sharing of versions among snapshots, against a model that simply remembers what each
/// snapshot saw. "Content" is a number that grows with every write.
final class EpochLedgerTest {
  private static final int CLUSTERS = 2500; // more than two chunks of the map
  private static final SnapshotTerms TERMS =
      new SnapshotTerms("s", Access.DISCARD, OnCbwError.BREAK_SNAPSHOT, 0);

  private final EpochLedger ledger = new EpochLedger(new ClusterGeometry(CLUSTERS * 4096L, 4096));
  private final int[] disk = new int[CLUSTERS];
  private final Map<Integer, Integer> contentOfEntry = new HashMap<>();
  private final List<Model> snapshots = new ArrayList<>();
  private int entries;
  private int copies;

  private static final class Model {
    final Epoch epoch;
    final int[] saw;

    Model(Epoch epoch, int[] saw) {
      this.epoch = epoch;
      this.saw = saw;
    }
  }

  private void begin() {
    snapshots.add(new Model(ledger.begin(TERMS), disk.clone()));
  }

  private void write(int cluster) {
    if (ledger.needsPreserve(cluster)) {
      int entry = entries++;
      contentOfEntry.put(entry, disk[cluster]);
      ledger.preserve(cluster, ClusterMap.ofEntry(entry));
      copies++;
    }
    disk[cluster]++;
  }

  private void end(Model model) {
    EntryList freed = new EntryList();
    ledger.end(model.epoch, freed);
    model.epoch.preserved.drainEntries(
        (entries, count) -> {
          for (int i = 0; i < count; i++) {
            freed.add(entries[i]);
          }
        });
    snapshots.remove(model);
    free(freed);
  }

  private void release(Model model, int first, int end) {
    EntryList freed = new EntryList();
    ledger.release(model.epoch, first, end, freed);
    free(freed);
  }

  private void free(EntryList freed) {
    for (int i = 0; i < freed.count(); i++) {
      assertTrue(contentOfEntry.remove(freed.array()[i]) != null, "an entry was freed twice");
    }
  }

  private void checkAll() {
    for (Model model : snapshots) {
      for (int cluster = 0; cluster < CLUSTERS; cluster++) {
        check(model, cluster);
      }
    }
  }

  private void check(Model model, int cluster) {
    if (model.epoch.released.contains(cluster)) {
      return;
    }
    int version = ledger.version(model.epoch, cluster);
    int content =
        version == ClusterMap.ABSENT
            ? disk[cluster]
            : contentOfEntry.get(ClusterMap.entryOf(version));
    assertEquals(model.saw[cluster], content, "cluster " + cluster);
  }

  @Test
  void threeSnapshotsShareOneCopy() {
    begin();
    begin();
    begin();
    write(7);
    write(7);
    assertEquals(1, copies);
    checkAll();
  }

  @Test
  void endOfTheYoungestHandsItsVersionsDown() {
    begin();
    begin();
    write(7);
    end(snapshots.getLast());
    assertEquals(1, contentOfEntry.size());
    checkAll();
    end(snapshots.getFirst());
    assertEquals(0, contentOfEntry.size());
    assertTrue(ledger.isEmpty());
  }

  @Test
  void endOfTheYoungestDropsWhatTheOlderHasItself() {
    begin();
    write(7);
    begin();
    write(7);
    assertEquals(2, copies);
    end(snapshots.getLast());
    assertEquals(1, contentOfEntry.size());
    checkAll();
  }

  @Test
  void releasedClusterIsNotPreservedAgainUnlessAnotherSnapshotNeedsIt() {
    begin();
    release(snapshots.getFirst(), 3, 5);
    assertFalse(ledger.needsPreserve(3));
    assertTrue(ledger.needsPreserve(5));
    begin();
    assertTrue(ledger.needsPreserve(3));
    write(3);
    release(snapshots.getLast(), 3, 4);
    assertEquals(0, contentOfEntry.size(), "both readers have released it");
  }

  @Test
  void endOfTheLastReaderFreesWhatOthersHaveReleased() {
    begin();
    begin();
    write(9);
    release(snapshots.getLast(), 9, 10);
    assertEquals(1, contentOfEntry.size(), "the older one still reads it");
    end(snapshots.getFirst());
    assertEquals(0, contentOfEntry.size());
  }

  @Test
  void agreesWithTheModelUnderRandomOperations() {
    for (long seed = 0; seed < 150; seed++) {
      Random random = new Random(seed);
      for (int i = 0; i < 400; i++) {
        int what = random.nextInt(40);
        if (what == 0 && snapshots.size() < 6) {
          begin();
        } else if (what == 1 && !snapshots.isEmpty()) {
          end(snapshots.get(random.nextInt(snapshots.size())));
        } else if (what == 2 && !snapshots.isEmpty()) {
          int first = random.nextInt(CLUSTERS);
          int end = first + 1 + random.nextInt(Math.min(300, CLUSTERS - first));
          release(snapshots.get(random.nextInt(snapshots.size())), first, end);
        } else {
          int first = random.nextInt(CLUSTERS);
          int end = Math.min(CLUSTERS, first + random.nextInt(8));
          for (int cluster = first; cluster < end; cluster++) {
            write(cluster);
          }
        }
      }
      checkAll();
      while (!snapshots.isEmpty()) {
        end(snapshots.get(random.nextInt(snapshots.size())));
        checkAll();
      }
      assertEquals(Map.of(), contentOfEntry, "entries left, seed " + seed);
    }
  }
}
