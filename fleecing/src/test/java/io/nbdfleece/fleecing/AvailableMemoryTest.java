// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The machine has 1,000 MiB; control groups allow less, or not.
final class AvailableMemoryTest {
  private static final long MIB = 1 << 20;

  @TempDir Path directory;

  @BeforeEach
  void machine() throws IOException {
    put("proc/meminfo", "MemTotal:  4096000 kB\nMemAvailable:    1024000 kB\nSwapFree: 0 kB\n");
  }

  private void put(String file, String content) throws IOException {
    Path path = directory.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, content);
  }

  private void group(String path, String limitName, String limit, String usedName, long used)
      throws IOException {
    put("cgroup/" + path + "/" + limitName, limit + "\n");
    put("cgroup/" + path + "/" + usedName, used + "\n");
  }

  private void group(String path, String max, long used) throws IOException {
    group(path, "memory.max", max, "memory.current", used);
  }

  private void assertMebibytes(long mebibytes) {
    AvailableMemory memory =
        new AvailableMemory(directory.resolve("proc"), directory.resolve("cgroup"));
    assertEquals(OptionalLong.of(mebibytes * MIB), memory.bytes());
  }

  @Test
  void withoutGroupsItIsWhatTheMachineHas() throws IOException {
    assertMebibytes(1000);
    put("proc/self/cgroup", "0::/somewhere\n");
    assertMebibytes(1000);
  }

  @Test
  void whereNothingIsToldNobodyKnows() throws IOException {
    Files.delete(directory.resolve("proc/meminfo"));
    AvailableMemory memory =
        new AvailableMemory(directory.resolve("proc"), directory.resolve("cgroup"));
    assertEquals(OptionalLong.empty(), memory.bytes());
  }

  @Test
  void groupWithALimitAllowsWhatIsLeftOfIt() throws IOException {
    put("proc/self/cgroup", "0::/system.slice/nbdfleece.service\n");
    group("system.slice/nbdfleece.service", "" + 300 * MIB, 100 * MIB);
    assertMebibytes(200);
  }

  @Test
  void groupWithoutALimitAllowsAll() throws IOException {
    put("proc/self/cgroup", "0::/system.slice/nbdfleece.service\n");
    group("system.slice/nbdfleece.service", "max", 100 * MIB);
    assertMebibytes(1000);
  }

  @Test
  void limitAboveCountsToo() throws IOException {
    put("proc/self/cgroup", "0::/machine.slice/vm/server\n");
    group("machine.slice/vm/server", "" + 900 * MIB, 10 * MIB);
    group("machine.slice", "" + 500 * MIB, 450 * MIB);
    assertMebibytes(50);
  }

  @Test
  void limitThatHoldsUpCountsToo() throws IOException {
    put("proc/self/cgroup", "0::/a\n");
    group("a", "" + 900 * MIB, 10 * MIB);
    put("cgroup/a/memory.high", "" + 200 * MIB);
    assertMebibytes(190);
  }

  /// A server that reads disks fills its group with page cache.
  @Test
  void pageCacheIsNotInTheWay() throws IOException {
    put("proc/self/cgroup", "0::/a\n");
    group("a", "" + 300 * MIB, 300 * MIB);
    put(
        "cgroup/a/memory.stat",
        "anon 9\nfile 9\ninactive_file %d\nactive_file %d\nslab_reclaimable %d\n"
            .formatted(100 * MIB, 20 * MIB, 3 * MIB));
    assertMebibytes(123);
  }

  @Test
  void groupThatIsOverItsLimitAllowsNothing() throws IOException {
    put("proc/self/cgroup", "0::/a\n");
    group("a", "" + 300 * MIB, 400 * MIB);
    assertMebibytes(0);
  }

  /// Inside of a container the host's path is not there, and the root is the container's group.
  @Test
  void containerSeesItsOwnGroupAtTheRoot() throws IOException {
    put("proc/self/cgroup", "0::/../../docker/0123\n");
    group("", "" + 64 * MIB, 14 * MIB);
    assertMebibytes(50);
  }

  @Test
  void olderGroupsCountToo() throws IOException {
    put("proc/self/cgroup", "5:cpu,memory:/docker/0123\n4:freezer:/\n0::/\n");
    group(
        "memory/docker/0123",
        "memory.limit_in_bytes",
        "" + 80 * MIB,
        "memory.usage_in_bytes",
        70 * MIB);
    put("cgroup/memory/docker/0123/memory.stat", "total_inactive_file " + 5 * MIB + "\n");
    assertMebibytes(15);
  }

  @Test
  void budgetThatIsMoreThanThereIsIsDoubted() {
    assertEquals(Optional.empty(), RamBudget.doubt(3 * MIB, OptionalLong.of(3 * MIB)));
    assertEquals(Optional.empty(), RamBudget.doubt(3 * MIB, OptionalLong.empty()));
    String doubt = RamBudget.doubt(3 * MIB, OptionalLong.of(3 * MIB - 1)).orElseThrow();
    assertTrue(doubt.contains("3 MiB") && doubt.contains("--ram"), doubt);
  }
}
