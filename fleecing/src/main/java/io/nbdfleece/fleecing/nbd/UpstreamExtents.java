// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// What another server says of `base:allocation`, as the engine wants it: cut to what was asked,
/// and where an edge lies inside of a block, that block is data.
final class UpstreamExtents implements StatusCompletion {
  private final long lengthBytes;
  private final int blockBytes;
  private final ExtentsCompletion done;

  UpstreamExtents(long lengthBytes, int blockBytes, ExtentsCompletion done) {
    this.lengthBytes = lengthBytes;
    this.blockBytes = blockBytes;
    this.done = done;
  }

  @Override
  public void succeeded(List<ContextExtents> contexts) {
    List<BlockExtent> extents = new ArrayList<>();
    if (contexts.size() == 1) {
      translate(contexts.getFirst().extents(), extents);
    }
    if (extents.isEmpty()) {
      done.failed(new IOException("upstream server: no block status in its answer"));
    } else {
      done.succeeded(extents);
    }
  }

  private void translate(List<Extent> from, List<BlockExtent> extents) {
    long translated = 0; // all before it is in extents
    long end = 0;
    for (Extent extent : from) {
      long start = end;
      end += Math.min(extent.lengthBytes(), lengthBytes - start); // never past 2^63
      long wholeStart = roundUp(start);
      long wholeEnd = end == lengthBytes ? end : end - end % blockBytes;
      if (wholeStart < wholeEnd) {
        BlockExtent.append(extents, wholeStart - translated, State.DATA);
        BlockExtent.append(extents, wholeEnd - wholeStart, stateOf(extent.flags()));
        translated = wholeEnd;
      }
      if (end == lengthBytes) {
        break;
      }
    }
    BlockExtent.append(extents, roundUp(end) - translated, State.DATA);
  }

  private long roundUp(long bytes) {
    return (bytes + blockBytes - 1) / blockBytes * blockBytes;
  }

  /// A hole that is not said to read as zeroes has to be read (NBD specification: its content is
  /// undefined, but a guest may look).
  private static State stateOf(long flags) {
    if ((flags & Extent.ZERO) == 0) {
      return State.DATA;
    }
    return (flags & Extent.HOLE) == 0 ? State.ZERO : State.HOLE;
  }

  @Override
  public void failed(IOException error) {
    done.failed(UpstreamCompletions.asEio(error));
  }
}
