// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

/// What a node can do beyond being read.
public enum NodeAbility {
  /// Its content can be changed. Zeroing and discarding work on every node that has this.
  WRITE,
  /// [BlockNode#flush] makes things durable; without it there is no way to and it does nothing.
  FLUSH,
  /// Changes can be durable when they complete ([Mutation.Durability#DURABLE]).
  DURABLE_WRITE,
  /// Zeroing may be faster than writing; without it [Mutation.Speed#FAST_ONLY] always fails.
  FAST_ZERO
}
