// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.util.Optional;

/// What was agreed on when a snapshot was taken.
///
/// @param name of the snapshot, for messages
/// @param cbwTimeoutNanos longest that preserving may hold a guest write up; 0 = no limit
/// @param quota how much may be preserved for it
public record SnapshotTerms(
    String name,
    Access access,
    OnCbwError onCbwError,
    long cbwTimeoutNanos,
    Optional<PreservedQuota> quota) {

  /// Any amount may be preserved for it.
  public SnapshotTerms(String name, Access access, OnCbwError onCbwError, long cbwTimeoutNanos) {
    this(name, access, onCbwError, cbwTimeoutNanos, Optional.empty());
  }
}
