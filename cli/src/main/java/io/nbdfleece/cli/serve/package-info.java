// SPDX-License-Identifier: Apache-2.0
/// The server process: the one place that wires engine, NBD server and control socket. Start at
/// [io.nbdfleece.cli.serve.ServeProcess].
@NullMarked
package io.nbdfleece.cli.serve;

import org.jspecify.annotations.NullMarked;
