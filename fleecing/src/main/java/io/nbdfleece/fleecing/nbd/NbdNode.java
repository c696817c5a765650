// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.nbd.client.RemoteExport;
import java.nio.ByteBuffer;

/// A disk that another NBD server holds.
public final class NbdNode implements BlockNode {
  private final RemoteExport remote;

  /// @param remote is closed with this node
  public NbdNode(RemoteExport remote) {
    this.remote = remote;
  }

  @Override
  public long sizeBytes() {
    return remote.info().sizeBytes();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void flush(Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    throw new IllegalStateException();
  }

  @Override
  public void close() {
    remote.close();
  }
}
