// SPDX-License-Identifier: Apache-2.0
/// Block nodes: the elements of a disk's chain. A [io.nbdfleece.fleecing.block.BlockNode] reads and
/// changes bytes asynchronously; [io.nbdfleece.fleecing.block.FileNode] is the end of a chain, a
/// [io.nbdfleece.fleecing.block.FilterNode] stands on another node.
///
/// ```
///   export ─▶ FleecingHook (filter) ─▶ FileNode ─▶ raw file or block device
/// ```
@NullMarked
package io.nbdfleece.fleecing.block;

import org.jspecify.annotations.NullMarked;
