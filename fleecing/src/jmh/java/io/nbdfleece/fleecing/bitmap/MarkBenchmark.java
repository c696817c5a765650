// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

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

/// What a guest's write of 4 KiB pays for one dirty bitmap: the first time that it touches a
/// granule, and again.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class MarkBenchmark {
  private static final int WRITES = 1 << 16;
  private static final int WRITE_BYTES = 4096;
  private static final int GRANULARITY_BYTES = 65536;

  /// Size of the disk.
  @Param({"32", "16384"})
  public int gib;

  private final long[] offsets = new long[WRITES];
  private HeapBitArray marked;
  private HeapBitArray fresh;

  @Setup
  public void writes() {
    Random random = new Random(1);
    long sizeBytes = (long) gib << 30;
    marked = new HeapBitArray(sizeBytes, GRANULARITY_BYTES);
    for (int i = 0; i < WRITES; i++) {
      offsets[i] = random.nextLong(sizeBytes / WRITE_BYTES) * WRITE_BYTES;
      marked.mark(offsets[i], WRITE_BYTES);
    }
  }

  /// An invocation takes long enough for the clock around it not to matter.
  @Setup(Level.Invocation)
  public void clean() {
    fresh = new HeapBitArray((long) gib << 30, GRANULARITY_BYTES);
  }

  @Benchmark
  @OperationsPerInvocation(WRITES)
  public HeapBitArray first() {
    for (long offset : offsets) {
      fresh.mark(offset, WRITE_BYTES);
    }
    return fresh;
  }

  @Benchmark
  @OperationsPerInvocation(WRITES)
  public HeapBitArray again() {
    for (long offset : offsets) {
      marked.mark(offset, WRITE_BYTES);
    }
    return marked;
  }
}
