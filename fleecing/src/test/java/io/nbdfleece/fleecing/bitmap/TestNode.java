// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.concurrent.Executor;

/// A disk in memory that reads and changes byte by byte, on an executor. It knows which bytes were
/// ever anything else than at the beginning.
final class TestNode implements BlockNode {
  private final byte[] bytes;
  private final byte[] origin;
  private final BitSet everChanged = new BitSet();
  private final Executor executor;

  /// Run before an operation touches a byte.
  volatile Runnable beforeChange = () -> {};

  volatile boolean readsFail;

  TestNode(byte[] content, Executor executor) {
    this.bytes = content.clone();
    this.origin = content.clone();
    this.executor = executor;
  }

  /// From now on what it holds now is the beginning.
  synchronized void beginAgain() {
    System.arraycopy(bytes, 0, origin, 0, bytes.length);
    everChanged.clear();
  }

  synchronized BitSet everChanged() {
    return (BitSet) everChanged.clone();
  }

  synchronized byte[] content() {
    return bytes.clone();
  }

  private synchronized byte get(int at) {
    return bytes[at];
  }

  private synchronized void set(int at, byte value) {
    bytes[at] = value;
    if (value != origin[at]) {
      everChanged.set(at);
    }
  }

  @Override
  public long sizeBytes() {
    return bytes.length;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    executor.execute(
        () -> {
          if (readsFail) {
            done.failed(new IOException("no reading"));
            return;
          }
          for (int at = (int) offsetBytes; target.hasRemaining(); at++) {
            target.put(get(at));
          }
          done.succeeded();
        });
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    executor.execute(
        () -> {
          beforeChange.run();
          int offset = (int) mutation.offsetBytes();
          switch (mutation) {
            case Mutation.Write write -> {
              while (write.data().hasRemaining()) {
                set(offset++, write.data().get());
              }
            }
            case Mutation.Zero zero -> clear(offset, zero.lengthBytes());
            case Mutation.Discard discard -> clear(offset, discard.lengthBytes());
          }
          done.succeeded();
        });
  }

  private void clear(int offset, long lengthBytes) {
    for (int i = 0; i < lengthBytes; i++) {
      set(offset + i, (byte) 0);
    }
  }

  @Override
  public void flush(Completion done) {
    done.succeeded();
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    done.failed(new IOException("not asked here"));
  }

  @Override
  public void close() {}
}
