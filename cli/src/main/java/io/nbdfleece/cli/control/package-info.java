// SPDX-License-Identifier: Apache-2.0
/// The control socket: QMP, as QEMU speaks it, on a Unix socket. Server: start at
/// [io.nbdfleece.cli.control.QmpServer]; a command is one class that implements
/// [io.nbdfleece.cli.control.QmpCommand] and stands in [io.nbdfleece.cli.control.QmpCommands].
/// Client: [io.nbdfleece.cli.control.QmpClient].
///
/// ```
///   socket ─▶ JsonFramer ─▶ QmpSession ─▶ QmpCommands ─▶ QmpCommand ─▶ ControlTarget ─▶ engine
/// ```
@NullMarked
package io.nbdfleece.cli.control;

import org.jspecify.annotations.NullMarked;
