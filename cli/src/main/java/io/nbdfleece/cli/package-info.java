// SPDX-License-Identifier: Apache-2.0
/// The `nbdfleece` command. Start at [io.nbdfleece.cli.Main]; each subcommand is a class
/// `…Command`. A class here must not mention Netty or the engine in its fields and signatures:
/// client commands start fast because they load neither.
///
/// ```
///   Main ─▶ ServeCommand ─▶ serve.ServeProcess ─▶ engine, NBD server, control socket
///        ├▶ SnapshotCommand, ReleaseCommand, ListCommand, StatusCommand,
///        │  BitmapCommand, CheckpointCommand, EventsCommand ─▶ control.QmpClient
///        ├▶ QmpShellCommand ─▶ shell.QmpShell ─▶ control.QmpClient
///        ├▶ InfoCommand ─▶ info.ServerFacts ─▶ NBD client
///        ├▶ MapCommand ─▶ map.ExtentWalk ─▶ NBD client
///        ├▶ PullCommand ─▶ pull.Pull ─▶ NBD client
///        ├▶ ApplyCommand ─▶ delta.Apply
///        └▶ DemoCommand ─▶ demo.Demo ─▶ all of it in one process
/// ```
@NullMarked
package io.nbdfleece.cli;

import org.jspecify.annotations.NullMarked;
