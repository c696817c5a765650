// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Measures what marking costs: nanoseconds per 4 KiB write for 0, 1 and 8 bitmaps, on a node that
/// does nothing itself, and the heap that a bitmap of a 16 TiB disk takes. The figures are medians
/// of rounds after a warm-up; they are good for an order of magnitude.
///
/// ```
/// mvn test-compile -pl fleecing -am
/// java -Xmx1g -cp fleecing/target/test-classes:fleecing/target/classes:cache/target/classes:$(find
///     ~/.m2 -name 'RoaringBitmap-*.jar' | tail -1) io.nbdfleece.fleecing.bitmap.BitArrayBenchmark
/// ```
final class BitArrayBenchmark {
  private static final long DISK_BYTES = 16L << 40;
  private static final int GRANULARITY_BYTES = 64 << 10;
  private static final int WRITES = 1 << 20;
  private static final int WARM_UP_ROUNDS = 5;
  private static final int ROUNDS = 11;

  private BitArrayBenchmark() {}

  public static void main(String[] arguments) {
    System.out.println("ns per 4 KiB write        first marks   marked already");
    for (long diskBytes : new long[] {32L << 30, DISK_BYTES}) {
      for (int arrays : new int[] {0, 1, 8}) {
        measureMarks(diskBytes, arrays);
      }
    }
    System.out.println("bitmap of 16 TiB, granularity 64 KiB");
    measureHeap("(warm-up)", 0.01);
    measureHeap("empty", 0);
    measureHeap("1 % at random", 0.01);
    measureHeap("full", 1);
  }

  private static void measureMarks(long diskBytes, int arrayCount) {
    Random random = new Random(1);
    Mutation[] writes = new Mutation[WRITES];
    ByteBuffer data = ByteBuffer.allocateDirect(4096);
    for (int i = 0; i < WRITES; i++) {
      long offset = random.nextLong(diskBytes / 4096) * 4096;
      writes[i] = new Mutation.Write(offset, data, Mutation.Durability.CACHED);
    }
    TrackingNode node = new TrackingNode(new Nothing(diskBytes));
    double[] first = new double[ROUNDS];
    double[] again = new double[ROUNDS];
    for (int round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
      List<BitArray> arrays = new ArrayList<>();
      for (int i = 0; i < arrayCount; i++) {
        arrays.add(new HeapBitArray(diskBytes, GRANULARITY_BYTES));
      }
      node.track(new TrackingNode.Tracks(arrays, DurableMarks.NONE, false));
      double firstNanos = pass(node, writes);
      double againNanos = pass(node, writes);
      if (round >= 0) {
        first[round] = firstNanos;
        again[round] = againNanos;
      }
    }
    System.out.printf(
        "%5d GiB, %d bitmaps  %14.1f %16.1f%n",
        diskBytes >> 30, arrayCount, median(first), median(again));
  }

  private static double pass(TrackingNode node, Mutation[] writes) {
    long start = System.nanoTime();
    for (Mutation write : writes) {
      node.apply(write, Nothing.DONE);
    }
    return (double) (System.nanoTime() - start) / writes.length;
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }

  private static void measureHeap(String what, double share) {
    long before = usedBytes();
    HeapBitArray bits = new HeapBitArray(DISK_BYTES, GRANULARITY_BYTES);
    long granules = DISK_BYTES / GRANULARITY_BYTES;
    if (share == 1) {
      bits.mark(0, DISK_BYTES);
    } else {
      Random random = new Random(1);
      for (long i = 0; i < granules * share; i++) {
        bits.mark(random.nextLong(granules) * GRANULARITY_BYTES, 1);
      }
    }
    long liveBytes = usedBytes() - before;
    long start = System.nanoTime();
    GranuleSet set = bits.toSet();
    double setMillis = (System.nanoTime() - start) / 1e6;
    long setBytes = usedBytes() - before - liveBytes;
    start = System.nanoTime();
    long dirtyBytes = bits.dirtyBytes();
    double countMillis = (System.nanoTime() - start) / 1e6;
    System.out.printf(
        "%-14s %9.1f KiB live, %9.1f KiB frozen, frozen in %.1f ms, counted in %.1f ms (%s)%n",
        what,
        liveBytes / 1024.0,
        setBytes / 1024.0,
        setMillis,
        countMillis,
        set.dirtyBytes() == dirtyBytes ? set : "COUNTS DIFFER");
  }

  private static long usedBytes() {
    for (int i = 0; i < 4; i++) {
      System.gc();
    }
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  private record Nothing(long sizeBytes) implements BlockNode {
    static final Completion DONE =
        new Completion() {
          @Override
          public void succeeded() {
            // nobody waits
          }

          @Override
          public void failed(IOException error) {
            throw new AssertionError(error);
          }
        };

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      done.succeeded();
    }

    @Override
    public void apply(Mutation mutation, Completion done) {
      done.succeeded();
    }

    @Override
    public void flush(Completion done) {
      done.succeeded();
    }

    @Override
    public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
      done.failed(new IOException("not asked here"));
    }

    @Override
    public void close() {}
  }
}
