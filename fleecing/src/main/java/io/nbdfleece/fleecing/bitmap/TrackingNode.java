// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.FileSender;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FilterNode;
import io.nbdfleece.fleecing.block.Mutation;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;

/// The filter below the fleecing hook that marks what is written, before it is written: in memory
/// by one atomic operation per 64 granules, in persistent bitmaps through a mapped file. Because it
/// stands below the hook, a disk that is drained has no mark in flight.
///
/// **Threads.** Any thread. While nothing is tracked, and while what is written is covered, a
/// change takes no lock and allocates nothing.
public final class TrackingNode implements FilterNode {
  private final BlockNode child;
  private final CompareBuffers buffers = new CompareBuffers();
  private volatile Tracks tracks = Tracks.NONE;

  public TrackingNode(BlockNode child) {
    this.child = child;
  }

  /// What is marked from the next write on; a write under way may still mark what was before. Exact
  /// only while the disk is drained.
  public void track(Tracks next) {
    tracks = next;
    if (!next.skipUnchanged()) {
      buffers.drop();
    }
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

    void mark(long offsetBytes, long lengthBytes) {
      try {
        markEach(offsetBytes, lengthBytes);
      } catch (InternalError e) { // of mapped memory; of which array cannot be told
        arrays.forEach(BitArray::failed);
        if (arrays.stream().allMatch(BitArray::isWhole)) {
          throw e;
        }
        markEach(offsetBytes, lengthBytes); // those that have not failed
      }
    }

    private void markEach(long offsetBytes, long lengthBytes) {
      for (int i = 0; i < arrays.size(); i++) { // an iterator would be garbage
        arrays.get(i).mark(offsetBytes, lengthBytes);
      }
    }

    /// After the marks are set: changes the disk as soon as they are safe.
    void applyCovered(BlockNode child, Mutation mutation, Completion done) {
      long offsetBytes = mutation.offsetBytes();
      long lengthBytes = mutation.lengthBytes();
      if (log.covers(offsetBytes, lengthBytes)) {
        child.apply(mutation, done);
      } else {
        AwaitedChange change = new AwaitedChange(done);
        log.whenCovered(
            offsetBytes, lengthBytes, () -> change.goOn(() -> child.apply(mutation, change)));
      }
    }

    int smallestGranularityBytes() {
      int smallest = Integer.MAX_VALUE;
      for (int i = 0; i < arrays.size(); i++) {
        smallest = Math.min(smallest, arrays.get(i).granularityBytes());
      }
      return smallest;
    }
  }

  @Override
  public BlockNode child() {
    return child;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    child.read(offsetBytes, target, done);
  }

  @Override
  public void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
    child.read(offsetBytes, targets, done);
  }

  @Override
  public Optional<FileSender> sender(long offsetBytes, int lengthBytes) {
    return child.sender(offsetBytes, lengthBytes);
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    Tracks now = tracks;
    if (now.arrays().isEmpty()) {
      child.apply(mutation, done);
    } else if (now.skipUnchanged()
        && mutation instanceof Mutation.Write write
        && write.lengthBytes() <= CompareBuffers.LENGTH_BYTES_MAX) {
      compareAndApply(now, write, done);
    } else {
      markAndApply(now, mutation, done);
    }
  }

  private void compareAndApply(Tracks now, Mutation.Write write, Completion done) {
    Optional<ByteBuffer> old = buffers.take((int) write.lengthBytes());
    if (old.isPresent()) {
      new ComparedWrite(now, child, buffers, write, old.get(), done).start();
    } else {
      markAndApply(now, write, done);
    }
  }

  private void markAndApply(Tracks now, Mutation mutation, Completion done) {
    now.mark(mutation.offsetBytes(), mutation.lengthBytes());
    now.applyCovered(child, mutation, done);
  }
}
