// SPDX-License-Identifier: Apache-2.0
/// Skeleton.
@NullMarked
package io.nbdfleece.cli;

import org.jspecify.annotations.NullMarked;
