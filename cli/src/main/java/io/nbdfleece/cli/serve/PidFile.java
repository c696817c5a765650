// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/// A file with our process id, there while the server is ready. It appears complete: who sees it
/// can read it.
final class PidFile implements AutoCloseable {
  private final Path path;

  private PidFile(Path path) {
    this.path = path;
  }

  static PidFile write(Path path) throws IOException {
    Path directory = path.toAbsolutePath().getParent();
    Path fresh;
    try {
      fresh = Files.createTempFile(directory, ".pid", "");
    } catch (NoSuchFileException e) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          "--pidfile " + path + ": no such directory: create it, or name another FILE",
          e);
    } catch (AccessDeniedException e) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "--pidfile " + path + ": permission denied: name a FILE elsewhere, or run as root",
          e);
    }
    try {
      Files.writeString(fresh, ProcessHandle.current().pid() + "\n");
      Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      Files.deleteIfExists(fresh);
      throw e;
    }
    return new PidFile(path);
  }

  @Override
  public void close() throws IOException {
    Files.deleteIfExists(path);
  }
}
