// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// What became of the backup that a snapshot was taken for.
public enum ReleaseOutcome {
  /// Its checkpoint stands: the next incremental may start from it.
  SUCCESS,
  /// Its checkpoint is undone: the next incremental covers what this one would have.
  FAILED
}
