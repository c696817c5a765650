// SPDX-License-Identifier: Apache-2.0
/// The fleecing hook: a filter that preserves old clusters before they change, and the frozen views
/// that read them. Start at [io.nbdfleece.fleecing.hook.FleecingHook], which lists the invariants.
///
/// ```
///   guest ─▶ GuestWrite ──▶ ClusterCopy (one per cluster) ──▶ ClusterStore
///               │  waits for copies, then for registered reads (ActiveReads)
///               ▼
///             child node ◀── FrozenRead ◀── SnapshotView ◀── backup client
///                               └──▶ ClusterStore          EpochLedger says who reads what where
/// ```
@NullMarked
package io.nbdfleece.fleecing.hook;

import org.jspecify.annotations.NullMarked;
