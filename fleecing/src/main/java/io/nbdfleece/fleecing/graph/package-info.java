// SPDX-License-Identifier: Apache-2.0
/// The nodes that QMP's `blockdev-add` makes and how they stand on each other. Start at
/// [io.nbdfleece.fleecing.graph.BlockGraph].
///
/// Names only: what a request meets is the chain of the disk, whatever nodes there are.
///
/// ```
///   node                     what it is in the engine
///   file, host_device, nbd,
///   null-co                  a disk that is not listed, with hook and bitmaps of its own
///   raw                      nothing: another name
///   throttle                 a filter on top of the disk's hook
///   copy-before-write        a snapshot of the disk, once somebody who writes stands on it
///   snapshot-access          the view of that snapshot
/// ```
///
/// Old content goes to the cluster store, whatever `target` a copy-before-write node has: that is
/// checked and kept in use, so that clients written for QEMU work, but nothing is written to it.
@NullMarked
package io.nbdfleece.fleecing.graph;

import org.jspecify.annotations.NullMarked;
