// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/// A hook over a disk in an array, which counts its reads and holds them back when told to, and
/// over a store of a few clusters in RAM.
final class HookedDisk implements BlockNode, HookListener, AutoCloseable {
  static final int CLUSTER = 4096;

  final byte[] content;
  final ClusterStore store;
  final FleecingHook hook;
  final List<String> broken = new ArrayList<>();

  /// What else the hook told.
  final List<String> told = new ArrayList<>();

  int reads;
  long readBytes;
  boolean readsFail;

  /// How many more spare slots there is memory for.
  int spareSlotsLeft = Integer.MAX_VALUE;

  /// Run within each read.
  Runnable whenRead = () -> {};

  /// Run within each change, before anything has changed.
  Runnable whenApplied = () -> {};

  long nowNanos;

  /// When set, what has been read waits here to be told.
  @Nullable List<Runnable> heldReads;

  HookedDisk(int clusters, int ramSlots) {
    this(clusters, ramSlots, WriteTerms.NONE);
  }

  HookedDisk(int clusters, int ramSlots, WriteTerms terms) {
    content = new byte[clusters * CLUSTER];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) (1 + i / CLUSTER);
    }
    // What the store does in the background waits for ever: nothing here depends on it.
    SimulatedStores.Plan inRam = new SimulatedStores.Plan(CLUSTER, ramSlots, 0);
    store = withLittleMemory(SimulatedStores.build(new SimulatedWorld(0), inRam).store());
    hook = new FleecingHook("d", this, store, Runnable::run, () -> nowNanos, this, terms);
  }

  private ClusterStore withLittleMemory(ClusterStore all) {
    InvocationHandler handler =
        (_, method, arguments) -> {
          if (method.getName().equals("acquireSpare") && spareSlotsLeft-- == 0) {
            throw new OutOfMemoryError("mmap: no memory");
          }
          try {
            return method.invoke(all, arguments);
          } catch (InvocationTargetException e) {
            throw e.getCause();
          }
        };
    Class<?>[] kinds = {ClusterStore.class};
    return (ClusterStore)
        Proxy.newProxyInstance(ClusterStore.class.getClassLoader(), kinds, handler);
  }

  SnapshotView freeze(Access access, long timeoutNanos) {
    return freeze(new SnapshotTerms("s", access, OnCbwError.BREAK_SNAPSHOT, timeoutNanos));
  }

  SnapshotView freeze(SnapshotTerms terms) {
    return Freeze.start(List.of(hook), terms, () -> nowNanos).frozen().join().views().getFirst();
  }

  /// A change of several clusters.
  CompletableFuture<Void> discard(int cluster, int count) {
    Outcome outcome = new Outcome();
    hook.apply(
        new Mutation.Discard(
            (long) cluster * CLUSTER, (long) count * CLUSTER, Mutation.Durability.CACHED),
        outcome);
    return outcome.future();
  }

  CompletableFuture<Void> write(int cluster) {
    return write((long) cluster * CLUSTER, CLUSTER);
  }

  CompletableFuture<Void> write(long offsetBytes, int lengthBytes) {
    Outcome outcome = new Outcome();
    hook.apply(
        new Mutation.Write(
            offsetBytes, ByteBuffer.allocateDirect(lengthBytes), Mutation.Durability.CACHED),
        outcome);
    return outcome.future();
  }

  static CompletableFuture<Void> prefetch(SnapshotView view, int cluster, int count) {
    Outcome outcome = new Outcome();
    view.prefetch((long) cluster * CLUSTER, (long) count * CLUSTER, outcome);
    return outcome.future();
  }

  /// The first byte of a cluster as the view shows it.
  static int byteOf(SnapshotView view, int cluster) {
    ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
    view.read((long) cluster * CLUSTER, target, Outcome.mustSucceed());
    return target.get(0);
  }

  @Override
  public long sizeBytes() {
    return content.length;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    reads++;
    readBytes += target.remaining();
    whenRead.run();
    byte[] read =
        Arrays.copyOfRange(content, (int) offsetBytes, (int) offsetBytes + target.remaining());
    Runnable whole =
        () -> {
          if (readsFail) {
            done.failed(new IOException("by the test"));
            return;
          }
          target.put(read);
          done.succeeded();
        };
    if (heldReads == null) {
      whole.run();
    } else {
      heldReads.add(whole);
    }
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    whenApplied.run();
    int from = (int) mutation.offsetBytes();
    Arrays.fill(content, from, from + (int) mutation.lengthBytes(), (byte) 0);
    done.succeeded();
  }

  @Override
  public void flush(Completion done) {
    done.succeeded();
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    done.succeeded(List.of(new BlockExtent(lengthBytes, BlockExtent.State.DATA)));
  }

  @Override
  public void snapshotBroken(String disk, String snapshot, String reason) {
    broken.add(reason);
  }

  @Override
  public void clusterLost(
      String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason) {
    throw new AssertionError(reason);
  }

  @Override
  public void guestWriteSlow(String disk, long offsetBytes, long waitedNanos) {
    told.add("slow " + offsetBytes + " " + waitedNanos);
  }

  @Override
  public void budgetStep(String disk, BudgetStep step, String reason) {
    told.add(step.name());
  }

  @Override
  public void close() throws IOException {
    store.close();
  }
}
