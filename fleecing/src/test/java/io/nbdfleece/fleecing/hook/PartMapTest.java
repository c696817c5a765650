// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/// [PartMap] against a sorted map.
final class PartMapTest {
  /// Shelves are of 1,048,576.
  private static final int CLUSTERS = 3_000_000;

  private final PartBudget budget = new PartBudget(Long.MAX_VALUE);

  private static Part anyPart(Random random) {
    int first = random.nextInt(16);
    int last = first + random.nextInt(16 - first);
    int blocks = (-1 >>> (31 - (last - first))) << first;
    return new Part(ClusterMap.ofEntry(random.nextInt(1_000_000)), blocks);
  }

  private void check(PartMap map, NavigableMap<Integer, Part> model, Random random) {
    assertEquals(model.size(), map.count());
    int cluster = map.nextPresent(0, CLUSTERS);
    for (var entry : model.entrySet()) {
      assertEquals(entry.getKey(), cluster);
      assertEquals(entry.getValue(), map.get(cluster));
      assertEquals(entry.getValue().blocks(), map.blocks(cluster));
      cluster = map.nextPresent(cluster + 1, CLUSTERS);
    }
    assertEquals(CLUSTERS, cluster);
    int from = random.nextInt(CLUSTERS);
    int end = from + random.nextInt(CLUSTERS - from);
    Integer next = model.ceilingKey(from);
    int expected = next == null || next >= end ? end : next;
    assertEquals(expected, map.nextPresent(from, end));
    assertTrue(map.nextFilled(from, end) <= expected);
  }

  @Test
  void agreesWithASortedMap() {
    Random random = new Random(1);
    for (int round = 0; round < 200; round++) {
      List<PartMap> maps = List.of(new PartMap(CLUSTERS, budget), new PartMap(CLUSTERS, budget));
      List<TreeMap<Integer, Part>> models = List.of(new TreeMap<>(), new TreeMap<>());
      int spread = 1 << random.nextInt(22);
      for (int i = 0; i < 100; i++) {
        int which = random.nextInt(2);
        int cluster =
            Math.min(CLUSTERS - 1, random.nextInt(spread) + random.nextInt(2) * 1_048_500);
        if (random.nextInt(3) == 0) {
          Part part = models.get(which).remove(cluster);
          int version = part == null ? ClusterMap.ABSENT : part.version();
          assertEquals(version, maps.get(which).remove(cluster));
          assertNull(maps.get(which).get(cluster));
        } else if (!models.get(1 - which).containsKey(cluster)) {
          Part part = anyPart(random);
          models.get(which).put(cluster, part);
          maps.get(which).put(cluster, part);
        }
      }
      check(maps.getFirst(), models.getFirst(), random);
      maps.getFirst().absorb(maps.getLast());
      models.getFirst().putAll(models.getLast());
      check(maps.getFirst(), models.getFirst(), random);
      check(maps.getLast(), new TreeMap<>(), random);
      List<Integer> drained = new ArrayList<>();
      maps.getFirst()
          .drainEntries(
              (entries, count) -> {
                for (int i = 0; i < count; i++) {
                  drained.add(entries[i]);
                }
              });
      assertEquals(
          models.getFirst().values().stream()
              .map(part -> ClusterMap.entryOf(Objects.requireNonNull(part).version()))
              .toList(),
          drained);
      assertEquals(0, budget.usedBytes());
    }
  }
}
