// SPDX-License-Identifier: Apache-2.0
/// The engine. Start at [io.nbdfleece.fleecing.FleecingEngine], the Java API behind every front
/// end.
@NullMarked
package io.nbdfleece.fleecing;

import org.jspecify.annotations.NullMarked;
