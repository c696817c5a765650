// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.nio.file.Path;
import java.util.Optional;

/// How the process is controlled and ends, as typed.
///
/// @param qmp the control socket
/// @param qmpGroup whose members may use it too
/// @param pidFile written when clients can connect
/// @param run a command for `sh -c`; the server lives as long as it does
/// @param exitWithParent whether the server ends when the process that started it does
public record LifeRequest(
    Optional<Path> qmp,
    Optional<String> qmpGroup,
    Optional<Path> pidFile,
    Optional<String> run,
    boolean exitWithParent) {}
