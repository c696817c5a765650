// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/// One write that is compared with what the disk holds before anything is marked. It is the
/// completion of the read of the old content.
final class ComparedWrite implements Completion {
  /*
   * Why writes that overlap in time need not wait for one another. Take a byte of the disk, and v,
   * what it was when a bitmap began to record. Of all writes since then, in the order in which they
   * reach the byte, look at the first one that brings something else than v. It read the old
   * content before it reached the byte, and every write before it brought v: so it read v, found a
   * difference, and marked before it wrote. Hence a byte that is not v, or ever was not, is marked,
   * whatever all others found. This needs no more than that bitmaps begin to record while no write
   * is in flight, and that whoever does not compare marks.
   *
   * A write that changes nothing goes to the disk nevertheless, and waits for the log as any other:
   * another one in flight may have just changed what it brings back, so that a power failure could
   * leave the one or the other.
   */
  private final TrackingNode.Tracks tracks;
  private final BlockNode child;
  private final CompareBuffers buffers;
  private final Mutation.Write write;
  private final ByteBuffer old;
  private final AwaitedChange change;

  ComparedWrite(
      TrackingNode.Tracks tracks,
      BlockNode child,
      CompareBuffers buffers,
      Mutation.Write write,
      ByteBuffer old,
      Completion done) {
    this.tracks = tracks;
    this.child = child;
    this.buffers = buffers;
    this.write = write;
    this.old = old;
    this.change = new AwaitedChange(done);
  }

  void start() {
    child.read(write.offsetBytes(), old, this);
  }

  @Override
  public void succeeded() {
    change.goOn(
        () -> {
          try {
            markChanged();
          } finally {
            buffers.give(old);
          }
          tracks.applyCovered(child, write, change);
        });
  }

  @Override
  public void failed(IOException error) { // the write itself will tell, if it concerns it
    change.goOn(
        () -> {
          buffers.give(old);
          tracks.mark(write.offsetBytes(), write.lengthBytes());
          tracks.applyCovered(child, write, change);
        });
  }

  /// Marks the granules, of the smallest size that there is, that differ.
  private void markChanged() {
    long lengthBytes = write.lengthBytes();
    MemorySegment before = MemorySegment.ofBuffer(old.duplicate().position(0));
    MemorySegment after = MemorySegment.ofBuffer(write.data());
    long granularityBytes = tracks.smallestGranularityBytes();
    long start = 0; // of the run of differing granules that is not marked yet
    long end = 0;
    long at = 0;
    while (at < lengthBytes) {
      long same = MemorySegment.mismatch(before, at, lengthBytes, after, at, lengthBytes);
      if (same < 0) {
        break;
      }
      at += same;
      long granule = (write.offsetBytes() + at) & -granularityBytes;
      if (granule - write.offsetBytes() > end) {
        markRun(start, end);
        start = at;
      }
      end = Math.min(lengthBytes, granule + granularityBytes - write.offsetBytes());
      at = end;
    }
    markRun(start, end);
  }

  private void markRun(long start, long end) {
    if (start < end) {
      tracks.mark(write.offsetBytes() + start, end - start);
    }
  }
}
