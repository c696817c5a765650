// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.nio.ByteBuffer;

/// A change of a node's content. Sealed: a filter that sees every kind sees every change.
public sealed interface Mutation {
  /// First byte changed.
  long offsetBytes();

  /// How many bytes change, at least 1.
  long lengthBytes();

  /// Whether it must be durable when it completes.
  Durability durability();

  /// The bytes of `data` from position to limit.
  record Write(long offsetBytes, ByteBuffer data, Durability durability) implements Mutation {
    @Override
    public long lengthBytes() {
      return data.remaining();
    }
  }

  /// The range reads as zeroes afterwards.
  record Zero(long offsetBytes, long lengthBytes, Provisioning provisioning, Durability durability)
      implements Mutation {}

  /// The content is not needed any more. Afterwards the range reads as zeroes or as before.
  record Discard(long offsetBytes, long lengthBytes, Durability durability) implements Mutation {}

  /// Whether a change must be on stable storage when it completes.
  enum Durability {
    CACHED,
    DURABLE
  }

  /// Whether zeroing may free the space.
  enum Provisioning {
    MAY_PUNCH,
    KEEP
  }
}
