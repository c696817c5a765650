// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.infra.Blackhole;

/// The map of what a snapshot has preserved: the question that every guest's write asks, and the
/// answer that one which preserves leaves there.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class ClusterMapBenchmark {
  private static final int WRITES = 1 << 16;
  private static final int CLUSTERS_PER_GIB = 1 << 14;

  /// Size of the disk, in clusters of 64 KiB.
  @Param({"32", "1024"})
  public int gib;

  private final int[] clusters = new int[WRITES];
  private ClusterMap filled;
  private ClusterMap fresh;

  @Setup
  public void writes() {
    Random random = new Random(1);
    filled = new ClusterMap(gib * CLUSTERS_PER_GIB);
    for (int i = 0; i < WRITES; i++) {
      clusters[i] = random.nextInt(gib * CLUSTERS_PER_GIB);
      int _ = filled.put(clusters[i], ClusterMap.ofEntry(i));
    }
  }

  /// An invocation takes long enough for the clock around it not to matter.
  @Setup(Level.Invocation)
  public void clean() {
    fresh = new ClusterMap(gib * CLUSTERS_PER_GIB);
  }

  @Benchmark
  @OperationsPerInvocation(WRITES)
  public void has(Blackhole result) {
    for (int cluster : clusters) {
      result.consume(filled.has(cluster));
    }
  }

  @Benchmark
  @OperationsPerInvocation(WRITES)
  public ClusterMap put() {
    for (int cluster : clusters) {
      int _ = fresh.put(cluster, ClusterMap.ZERO);
    }
    return fresh;
  }

  /// A whole map, as a client that asks for the extents walks it.
  @Benchmark
  public int walk() {
    int end = gib * CLUSTERS_PER_GIB;
    int found = 0;
    for (int i = filled.nextPresent(0, end); i < end; i = filled.nextPresent(i + 1, end)) {
      found++;
    }
    return found;
  }
}
