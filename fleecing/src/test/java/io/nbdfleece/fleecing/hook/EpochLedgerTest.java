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
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The sharing of versions, whole and in part, among snapshots, against a model that simply
/// remembers what each snapshot saw. The "content" of a block is a number that grows with every
/// write; of a cluster that is preserved in part, what is stored of the other blocks is nonsense.
final class EpochLedgerTest {
  private static final int CLUSTERS = 2500; // more than two chunks of the map
  private static final SnapshotTerms TERMS =
      new SnapshotTerms("s", Access.DISCARD, OnCbwError.BREAK_SNAPSHOT, 0);

  private static final int BLOCKS = 4;
  private static final int ALL = (1 << BLOCKS) - 1;
  private static final int NONSENSE = -1;

  private final ClusterGeometry geometry = new ClusterGeometry(CLUSTERS * 4096L, 4096);
  private final PartBudget budget = new PartBudget(Long.MAX_VALUE);
  private final EpochLedger ledger = new EpochLedger(geometry, budget);
  private final int[] disk = new int[CLUSTERS * BLOCKS];
  private final Map<Integer, int[]> contentOfEntry = new HashMap<>();
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
    write(cluster, ALL);
  }

  /// As the hook does it: the first time a part, then all together with the part that the same
  /// epoch has, if it can be read.
  private void write(int cluster, int blocks) {
    if (ledger.needsPreserve(cluster, blocks)) {
      Part before = ledger.newestPart(cluster);
      boolean inPart = blocks != ALL && ledger.mayPreservePart(cluster, blocks);
      int entry = entries++;
      int[] content = new int[BLOCKS];
      for (int block = 0; block < BLOCKS; block++) {
        boolean copied = !inPart || (blocks & 1 << block) != 0;
        content[block] = copied ? disk[cluster * BLOCKS + block] : NONSENSE;
      }
      if (inPart) {
        ledger.preserve(cluster, new Part(ClusterMap.ofEntry(entry), blocks));
      } else {
        ledger.preserve(cluster, ClusterMap.ofEntry(entry));
        if (before != null && entry % 2 == 0) {
          int[] ofPart = content(before.version());
          for (int block = 0; block < BLOCKS; block++) {
            content[block] = (before.blocks() & 1 << block) != 0 ? ofPart[block] : content[block];
          }
          EntryList freed = new EntryList();
          ledger.supersedePart(cluster, freed);
          free(freed);
        }
      }
      contentOfEntry.put(entry, content);
      copies++;
    }
    for (int block = 0; block < BLOCKS; block++) {
      disk[cluster * BLOCKS + block] += blocks >> block & 1;
    }
  }

  private int[] content(int version) {
    return Objects.requireNonNull(contentOfEntry.get(ClusterMap.entryOf(version)));
  }

  private void end(Model model) {
    EntryList freed = new EntryList();
    ledger.end(model.epoch, freed);
    for (StoredVersions map : List.of(model.epoch.preserved, model.epoch.parts)) {
      map.drainEntries(
          (entries, count) -> {
            for (int i = 0; i < count; i++) {
              freed.add(entries[i]);
            }
          });
    }
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
    for (int block = 0; block < BLOCKS; block++) {
      long offsetBytes = geometry.offsetOf(cluster, 1 << block);
      EpochLedger.Source source = ledger.source(model.epoch, offsetBytes);
      int content =
          source.version() == ClusterMap.ABSENT
              ? disk[cluster * BLOCKS + block]
              : content(source.version())[block];
      assertEquals(model.saw[cluster * BLOCKS + block], content, "cluster " + cluster);
      assertTrue(source.endBytes() > offsetBytes, "a stretch");
      if (source.version() == ClusterMap.ABSENT) {
        assertTrue(ledger.needsPreserve(cluster, 1 << block), "I1");
      } else {
        assertEquals(cluster, ledger.nextVersion(model.epoch, cluster, CLUSTERS), "is found");
      }
    }
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
    assertFalse(ledger.needsPreserve(3, ALL));
    assertTrue(ledger.needsPreserve(5, ALL));
    begin();
    assertTrue(ledger.needsPreserve(3, ALL));
    write(3);
    release(snapshots.getLast(), 3, 4);
    assertEquals(0, contentOfEntry.size(), "both readers have released it");
  }

  @Test
  void writeToTheRestReplacesThePart() {
    begin();
    write(7, 0b0010);
    assertFalse(ledger.needsPreserve(7, 0b0010));
    assertTrue(ledger.needsPreserve(7, 0b0110));
    checkAll();
    entries++; // an even one, which contains the part
    write(7, 0b0100);
    assertEquals(1, contentOfEntry.size());
    assertFalse(ledger.needsPreserve(7, ALL));
    checkAll();
  }

  @Test
  void partOfAnOlderSnapshotStaysBesideWhatItSharesWithANewerOne() {
    begin();
    write(7, 0b0010);
    begin();
    write(7, 0b0011);
    assertEquals(2, contentOfEntry.size());
    checkAll();
    end(snapshots.getLast());
    assertEquals(2, contentOfEntry.size(), "the older one needs both");
    checkAll();
    release(snapshots.getFirst(), 7, 8);
    assertEquals(0, contentOfEntry.size());
  }

  @Test
  void releasedPartIsFreedAtOnce() {
    begin();
    write(7, 0b0010);
    release(snapshots.getFirst(), 7, 8);
    assertEquals(0, contentOfEntry.size());
  }

  @Test
  void endOfTheYoungestDropsAPartOfWhatTheOlderHasWhole() {
    begin();
    write(7);
    begin();
    write(7, 0b1000);
    end(snapshots.getLast());
    assertEquals(1, contentOfEntry.size());
    checkAll();
  }

  @Test
  void whoWritesOneClusterAfterTheOtherNeedsThemWhole() {
    begin();
    write(6);
    assertFalse(ledger.mayPreservePart(7, 0b0001));
    assertTrue(ledger.mayPreservePart(7, 0b0010));
    assertTrue(ledger.mayPreservePart(8, 0b0001));
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
          int blocks = random.nextBoolean() ? ALL : (1 + random.nextInt(3)) << random.nextInt(3);
          for (int cluster = first; cluster < end; cluster++) {
            write(cluster, blocks & ALL);
          }
        }
      }
      checkAll();
      while (!snapshots.isEmpty()) {
        end(snapshots.get(random.nextInt(snapshots.size())));
        checkAll();
      }
      assertEquals(Map.of(), contentOfEntry, "entries left, seed " + seed);
      assertEquals(0, budget.usedBytes(), "heap of parts");
    }
  }
}
