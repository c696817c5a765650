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

  /// The range reads as zeroes afterwards. With [Speed#FAST_ONLY] it fails with a
  /// [NotFastException], at once and without having changed anything, where it would not be faster
  /// than writing zeroes.
  record Zero(
      long offsetBytes,
      long lengthBytes,
      Provisioning provisioning,
      Speed speed,
      Durability durability)
      implements Mutation {

    /// Zeroing that may take its time.
    public Zero(
        long offsetBytes, long lengthBytes, Provisioning provisioning, Durability durability) {
      this(offsetBytes, lengthBytes, provisioning, Speed.ANY, durability);
    }
  }

  /// The content is not needed any more. Afterwards the range reads as zeroes or as before.
  record Discard(long offsetBytes, long lengthBytes, Durability durability) implements Mutation {}

  /// Whether a change must be on stable storage when it completes.
  enum Durability {
    CACHED,
    DURABLE
  }

  /// Whether zeroing may be as slow as writing.
  enum Speed {
    ANY,
    FAST_ONLY
  }

  /// Whether zeroing may free the space.
  enum Provisioning {
    MAY_PUNCH,
    KEEP
  }
}
