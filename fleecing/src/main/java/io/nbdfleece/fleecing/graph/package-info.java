// SPDX-License-Identifier: Apache-2.0
/// The nodes that QMP's `blockdev-add` makes and how they stand on each other.
@NullMarked
package io.nbdfleece.fleecing.graph;

import org.jspecify.annotations.NullMarked;
