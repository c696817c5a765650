// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.UUID;

/// A directory of mode 0700 under a name that nobody guesses, for the sockets of a server that is
/// nobody else's business, e.g. one that a command starts for itself. It is there from [#create] to
/// [#remove].
record PrivatePlace(Path directory) {

  /// A name that nobody has; nothing is created yet.
  static PrivatePlace choose() {
    return new PrivatePlace(
        Path.of(System.getProperty("java.io.tmpdir", "/tmp"))
            .resolve("nbdfleece-" + UUID.randomUUID().toString().substring(0, 13)));
  }

  Path nbdSocket() {
    return directory.resolve("nbd.sock");
  }

  Path controlSocket() {
    return directory.resolve("qmp.sock");
  }

  void create() throws IOException {
    try {
      Path _ =
          Files.createDirectory(
              directory,
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException e) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "private directory for the sockets, "
              + directory
              + ": cannot create it: name the sockets with --unix PATH and --qmp PATH",
          e);
    }
  }

  /// The sockets in it have been removed by then by those who made them.
  void remove() throws IOException {
    boolean _ = Files.deleteIfExists(directory);
  }

  /// Of a process that ends at once: the sockets too.
  void removeWithSockets() throws IOException {
    boolean _ = Files.deleteIfExists(nbdSocket());
    boolean _ = Files.deleteIfExists(controlSocket());
    remove();
  }
}
