// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;

/// A disk of one cluster with its hook, in the heap, without any synchronisation of its own: what
/// is read while it is written is torn or new, and seen.
final class OneClusterDisk implements BlockNode, HookListener {
  static final int CLUSTER = 512;
  static final byte OLD = 1;
  static final byte NEW = 2;

  final HeapStore store = new HeapStore(CLUSTER);
  final FleecingHook hook;
  private final byte[] content = new byte[CLUSTER];

  OneClusterDisk() {
    Arrays.fill(content, OLD);
    hook = new FleecingHook("disk", this, store, Runnable::run, () -> 0, this);
  }

  /// What the first and the last byte of the disk are, one if they are the same.
  int shown() {
    return content[0] == content[CLUSTER - 1] ? content[0] : -1;
  }

  SnapshotView freeze() {
    SnapshotView[] view = new SnapshotView[1];
    hook.closeGate(() -> view[0] = freezeDrained());
    return view[0];
  }

  /// With a closed gate and nothing in flight; opens the gate.
  SnapshotView freezeDrained() {
    SnapshotView view =
        hook.freeze(
            new SnapshotTerms("snapshot", Access.DISCARD, OnCbwError.BREAK_SNAPSHOT, 0));
    hook.openGate();
    return view;
  }

  /// A guest's write of the whole cluster.
  void overwrite() {
    byte[] data = new byte[CLUSTER];
    Arrays.fill(data, NEW);
    hook.apply(new Mutation.Write(0, ByteBuffer.wrap(data), Mutation.Durability.CACHED), NOBODY);
  }

  /// What a view shows: its byte, or -1 when it is torn, 0 when the read is refused, -2 when it has
  /// not ended.
  static Reading read(SnapshotView view) {
    Reading reading = new Reading();
    view.read(0, reading.target, reading);
    return reading;
  }

  static final class Reading implements Completion {
    private final ByteBuffer target = ByteBuffer.allocate(CLUSTER);
    private int result = -2;

    int result() {
      return result;
    }

    @Override
    public void succeeded() {
      result = target.get(0) == target.get(CLUSTER - 1) ? target.get(0) : -1;
    }

    @Override
    public void failed(IOException error) {
      result = 0;
    }
  }

  static final Completion NOBODY =
      new Completion() {
        @Override
        public void succeeded() {}

        @Override
        public void failed(IOException error) {
          throw new IllegalStateException(error);
        }
      };

  @Override
  public long sizeBytes() {
    return CLUSTER;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    target.put(content, (int) offsetBytes, target.remaining());
    done.succeeded();
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    Mutation.Write write = (Mutation.Write) mutation;
    write.data().get(content, (int) write.offsetBytes(), write.data().remaining());
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
  public void close() {}

  @Override
  public void snapshotBroken(String disk, String snapshot, String reason) {
    throw new IllegalStateException(reason);
  }

  @Override
  public void clusterLost(
      String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason) {
    throw new IllegalStateException(reason);
  }
}
