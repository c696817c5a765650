// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.ThrottleGroup.Direction;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// A filter that lets reads and changes through as its group does. Flushes, hints and questions
/// pass. While the group limits nothing it costs a volatile read.
///
/// **Threads.** Any thread. A request that had to wait goes on on the timer's thread.
public final class ThrottleNode implements BlockNode {
  private final BlockNode child;
  private final ThrottleGroup group;

  /// @param child is not closed with this node: a filter comes and goes, what is below stays
  public ThrottleNode(BlockNode child, ThrottleGroup group) {
    this.child = child;
    this.group = group;
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
    if (group.isOpen()) {
      child.read(offsetBytes, target, done);
    } else {
      group.pass(Direction.READ, target.remaining(), () -> child.read(offsetBytes, target, done));
    }
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    if (group.isOpen()) {
      child.apply(mutation, done);
    } else {
      group.pass(Direction.WRITE, mutation.lengthBytes(), () -> child.apply(mutation, done));
    }
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
    // The child is the engine's.
  }
}
