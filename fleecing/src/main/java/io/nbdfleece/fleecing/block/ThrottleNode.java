// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.FileSender;
import io.nbdfleece.fleecing.block.ThrottleGroup.Direction;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;

/// A filter that lets reads and changes through as its group does. Flushes, hints and questions
/// pass. While the group limits nothing it costs a volatile read.
///
/// **Threads.** Any thread. A request that had to wait goes on on the timer's thread.
public final class ThrottleNode implements FilterNode {
  private final BlockNode child;
  private final ThrottleGroup group;

  /// @param child is not closed with this node: a filter comes and goes, what is below stays
  public ThrottleNode(BlockNode child, ThrottleGroup group) {
    this.child = child;
    this.group = group;
  }

  @Override
  public BlockNode child() {
    return child;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    if (group.isOpen()) {
      child.read(offsetBytes, target, done);
    } else {
      group.pass(
          this,
          Direction.READ,
          target.remaining(),
          () -> child.read(offsetBytes, target, done),
          done);
    }
  }

  @Override
  public void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
    if (group.isOpen()) {
      child.read(offsetBytes, targets, done);
    } else {
      long lengthBytes = targets.stream().mapToLong(ByteBuffer::remaining).sum();
      group.pass(
          this, Direction.READ, lengthBytes, () -> child.read(offsetBytes, targets, done), done);
    }
  }

  @Override
  public Optional<FileSender> sender(long offsetBytes, int lengthBytes) {
    return group.isOpen() ? child.sender(offsetBytes, lengthBytes) : Optional.empty();
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    if (group.isOpen()) {
      child.apply(mutation, done);
    } else {
      group.pass(
          this, Direction.WRITE, mutation.lengthBytes(), () -> child.apply(mutation, done), done);
    }
  }

  /// It has been taken off its disk: requests that wait in it go on, and none waits any more.
  public void leave() {
    group.leave(this);
  }

  @Override
  public void close() throws IOException {
    // The child is the engine's.
  }
}
