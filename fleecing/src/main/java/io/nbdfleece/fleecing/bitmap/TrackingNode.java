// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ContextsCompletion;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NodeAbility;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// The filter below the fleecing hook that marks what is written, before it is written: in memory
/// by one atomic operation per 64 granules, in persistent bitmaps through a mapped file. Because it
/// stands below the hook, a disk that is drained has no mark in flight.
///
/// **Threads.** Any thread.
public final class TrackingNode implements BlockNode {
  private final BlockNode child;
  private volatile Tracks tracks = Tracks.NONE;

  public TrackingNode(BlockNode child) {
    this.child = child;
  }

  /// What is marked from the next write on; a write under way may still mark what was before. Exact
  /// only while the disk is drained.
  public void track(Tracks next) {
    tracks = next;
  }

  public Tracks tracks() {
    return tracks;
  }

  /// What a write marks.
  ///
  /// @param arrays every one of them
  /// @param log what makes the marks survive a power failure; a write waits for it
  /// @param skipUnchanged whether a write that changes nothing is not marked (it is compared with
  ///   what the disk holds first)
  public record Tracks(List<BitArray> arrays, DurableMarks log, boolean skipUnchanged) {
    public static final Tracks NONE = new Tracks(List.of(), DurableMarks.NONE, false);

    public Tracks {
      arrays = List.copyOf(arrays);
    }
  }

  @Override
  public long sizeBytes() {
    return child.sizeBytes();
  }

  @Override
  public int blockBytes() {
    return child.blockBytes();
  }

  @Override
  public Set<NodeAbility> abilities() {
    return child.abilities();
  }

  @Override
  public List<String> contexts() {
    return child.contexts();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    child.read(offsetBytes, target, done);
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    Tracks now = tracks;
    for (BitArray array : now.arrays()) {
      array.mark(mutation.offsetBytes(), mutation.lengthBytes());
    }
    now.log()
        .whenCovered(
            mutation.offsetBytes(), mutation.lengthBytes(), () -> child.apply(mutation, done));
  }

  @Override
  public void flush(Completion done) {
    child.flush(done);
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    child.cache(offsetBytes, lengthBytes, done);
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    child.status(offsetBytes, lengthBytes, extentsMax, done);
  }

  @Override
  public void contextStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      ContextsCompletion done) {
    child.contextStatus(offsetBytes, lengthBytes, contexts, extentsMax, done);
  }

  @Override
  public void close() throws IOException {
    child.close();
  }
}
