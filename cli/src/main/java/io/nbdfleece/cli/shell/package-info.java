// SPDX-License-Identifier: Apache-2.0
/// `nbdfleece qmp`: QMP commands as qmp-shell writes them. Start at
/// [io.nbdfleece.cli.shell.QmpShell]. JLine, the editor of lines, is loaded by
/// [io.nbdfleece.cli.shell.LineEditor] alone, and only on a terminal.
@NullMarked
package io.nbdfleece.cli.shell;

import org.jspecify.annotations.NullMarked;
