// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// A disk of zeroes that forgets what is written: for measuring everything else (QEMU's `null-co`).
public final class NullNode implements BlockNode {
  private static final ByteBuffer ZEROES = ByteBuffer.allocateDirect(64 << 10).asReadOnlyBuffer();

  private final long sizeBytes;
  private final Content content;
  private final long latencyNanos;
  private final DelayTimer timer;

  /// What is told of its content; it reads as zeroes anyhow.
  public enum Content {
    /// All is data: whoever copies it has to read it.
    UNKNOWN,
    ZEROES
  }

  /// @param latencyNanos how long each request takes; zero = it completes inside the call
  public NullNode(long sizeBytes, Content content, long latencyNanos, DelayTimer timer) {
    if (sizeBytes < 0 || latencyNanos < 0) {
      throw new IllegalArgumentException(
          "sizeBytes: " + sizeBytes + ", latencyNanos: " + latencyNanos + " (expected: >= 0)");
    }
    this.sizeBytes = sizeBytes;
    this.content = content;
    this.latencyNanos = latencyNanos;
    this.timer = timer;
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public Set<NodeAbility> abilities() {
    return EnumSet.allOf(NodeAbility.class);
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    // Whatever was in the buffer is somebody else's.
    while (target.hasRemaining()) {
      ByteBuffer zeroes = ZEROES.duplicate();
      zeroes.limit(Math.min(zeroes.capacity(), target.remaining()));
      target.put(zeroes);
    }
    complete(done);
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    if (mutation instanceof Mutation.Write write) {
      write.data().position(write.data().limit());
    }
    complete(done);
  }

  @Override
  public void flush(Completion done) {
    complete(done);
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    BlockExtent.State state =
        switch (content) {
          case UNKNOWN -> BlockExtent.State.DATA;
          case ZEROES -> BlockExtent.State.ZERO;
        };
    List<BlockExtent> extents = List.of(new BlockExtent(lengthBytes, state));
    if (latencyNanos == 0) {
      done.succeeded(extents);
    } else {
      timer.after(latencyNanos, () -> done.succeeded(extents));
    }
  }

  private void complete(Completion done) {
    if (latencyNanos == 0) {
      done.succeeded();
    } else {
      timer.after(latencyNanos, done::succeeded);
    }
  }

  @Override
  public void close() throws IOException {
    // Holds nothing.
  }
}
