// SPDX-License-Identifier: Apache-2.0
/// Dirty bitmaps: which granules of a disk were written since some instant.
@NullMarked
package io.nbdfleece.fleecing.bitmap;

import org.jspecify.annotations.NullMarked;
