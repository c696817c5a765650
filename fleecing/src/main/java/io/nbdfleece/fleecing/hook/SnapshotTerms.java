// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;

/// What was agreed on when a snapshot was taken.
///
/// @param name of the snapshot, for messages
/// @param cbwTimeoutNanos longest that a copy may hold a guest write up; 0 = no limit
public record SnapshotTerms(
    String name, Access access, OnCbwError onCbwError, long cbwTimeoutNanos) {}
