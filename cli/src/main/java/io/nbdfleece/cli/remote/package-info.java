// SPDX-License-Identifier: Apache-2.0
/// Reaching an NBD server as a command does: a URI as it was typed, and failures with the exit code
/// that they deserve. Start at [io.nbdfleece.cli.remote.RemoteServer].
@NullMarked
package io.nbdfleece.cli.remote;

import org.jspecify.annotations.NullMarked;
