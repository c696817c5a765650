// SPDX-License-Identifier: Apache-2.0
/// What every command shares: exit codes, failures that a person reads, sizes and durations as
/// people write them.
@NullMarked
package io.nbdfleece.cli.base;

import org.jspecify.annotations.NullMarked;
