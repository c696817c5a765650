// SPDX-License-Identifier: Apache-2.0
/// What is kept between two runs of the server: the bitmaps and checkpoints of each disk, in the
/// state directory.
@NullMarked
package io.nbdfleece.fleecing.state;

import org.jspecify.annotations.NullMarked;
