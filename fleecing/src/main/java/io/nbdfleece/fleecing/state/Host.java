// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

/// What recovery has to know of the machine.
interface Host {

  /// Now, in ns since 1970.
  long epochNanos();

  /// A clock for how long something has lasted: as `System.nanoTime`. Nobody sets it.
  long nanoTime();

  /// Another one after each start of the machine; empty when it cannot be told.
  String bootId();

  /// When the machine started, in ns since 1970; 0 when it cannot be told.
  long bootedEpochNanos();
}
