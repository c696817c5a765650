// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// A read into several buffers, of a node that reads into one: a read for each, all at the same
/// time. Ends when all have ended, with the first error if there is one.
final class ReadInParts implements Completion {
  private final BlockNode node;
  private final long offsetBytes;
  private final List<ByteBuffer> targets;
  private final Completion done;
  private final AtomicInteger remaining;
  private final AtomicReference<@Nullable IOException> failure = new AtomicReference<>();

  ReadInParts(BlockNode node, long offsetBytes, List<ByteBuffer> targets, Completion done) {
    this.node = node;
    this.offsetBytes = offsetBytes;
    this.targets = targets;
    this.done = done;
    this.remaining = new AtomicInteger(targets.size());
  }

  void start() {
    long position = offsetBytes;
    for (ByteBuffer target : targets) {
      int lengthBytes = target.remaining();
      try {
        node.read(position, target, this);
      } catch (RuntimeException | Error e) {
        if (remaining.get() == 0) {
          throw e; // whoever was told of the end
        }
        failed(new IOException("internal error: " + e, e)); // others may still be filling theirs
      }
      position += lengthBytes;
    }
  }

  @Override
  public void succeeded() {
    if (remaining.decrementAndGet() == 0) {
      IOException error = failure.get();
      if (error == null) {
        done.succeeded();
      } else {
        done.failed(error);
      }
    }
  }

  @Override
  public void failed(IOException error) {
    boolean _ = failure.compareAndSet(null, error);
    succeeded();
  }
}
