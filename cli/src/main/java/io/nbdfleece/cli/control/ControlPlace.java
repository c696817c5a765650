// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Optional;

/// Where the control socket is when nobody says. Server and client compute it alike: `--qmp`, then
/// `NBDFLEECE_QMP`, then the first of these that applies:
///
/// 1. `$XDG_RUNTIME_DIR/nbdfleece/qmp.sock`
/// 2. root: `/run/nbdfleece/qmp.sock`
/// 3. `/tmp/nbdfleece-UID/qmp.sock`
///
/// @param path of the socket
/// @param chosen whether nobody named it, so that its directory is ours to make
public record ControlPlace(Path path, boolean chosen) {

  /// The place for this process.
  public static ControlPlace of(Optional<Path> option, Map<String, String> environment)
      throws IOException {
    return of(option, environment, ownUid());
  }

  static ControlPlace of(Optional<Path> option, Map<String, String> environment, int uid) {
    String named = environment.getOrDefault("NBDFLEECE_QMP", "");
    if (option.isPresent() || !named.isEmpty()) {
      return new ControlPlace(option.orElseGet(() -> Path.of(named)), false);
    }
    String runtime = environment.getOrDefault("XDG_RUNTIME_DIR", "");
    Path directory =
        !runtime.isEmpty()
            ? Path.of(runtime, "nbdfleece")
            : uid == 0 ? Path.of("/run/nbdfleece") : Path.of("/tmp/nbdfleece-" + uid);
    return new ControlPlace(directory.resolve("qmp.sock"), true);
  }

  /// Makes the directory, mode 0700, when the place was chosen here, and fails when somebody else
  /// made it: in `/tmp` anybody can.
  public void prepareDirectory() throws IOException {
    Path directory = path.getParent();
    if (!chosen || directory == null) {
      return;
    }
    try {
      Files.createDirectory(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (FileAlreadyExistsException e) {
      checkDirectory();
    }
  }

  /// Fails when the place was chosen here and its directory belongs to somebody else.
  public void checkDirectory() throws IOException {
    Path directory = path.getParent();
    if (!chosen || directory == null || !Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    Object owner = Files.getAttribute(directory, "unix:uid", LinkOption.NOFOLLOW_LINKS);
    if (!Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS) || !owner.equals(ownUid())) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "control socket, "
              + directory
              + ": the directory belongs to somebody else: remove it, or give --qmp PATH");
    }
  }

  private static int ownUid() throws IOException {
    return (Integer) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
  }
}
