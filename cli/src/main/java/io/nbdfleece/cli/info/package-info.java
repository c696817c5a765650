// SPDX-License-Identifier: Apache-2.0
/// What a server says of itself and its exports, in the words of libnbd's `nbdinfo`. Start at
/// [io.nbdfleece.cli.info.ServerFacts].
@NullMarked
package io.nbdfleece.cli.info;

import org.jspecify.annotations.NullMarked;
