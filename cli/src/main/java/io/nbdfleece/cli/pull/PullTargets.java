// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// Chooses the target by what FILE is.
final class PullTargets {
  // st_mode, inode(7).
  private static final int TYPE_MASK = 0170000;
  private static final int TYPE_BLOCK_DEVICE = 0060000;
  private static final int TYPE_DIRECTORY = 0040000;
  private static final int TYPE_REGULAR = 0100000;

  private PullTargets() {}

  /// Opens FILE, `-` being standard output. An existing file or block device needs `force`.
  static PullTarget open(String file, boolean force, long sizeBytes) throws IOException {
    if (file.equals("-")) {
      return new StreamTarget(new FileOutputStream(FileDescriptor.out).getChannel(), "stdout");
    }
    Path path = Path.of(file);
    try {
      return open(path, force, sizeBytes);
    } catch (AccessDeniedException e) {
      throw new CommandFailure(
          ExitCode.FAILED, path + ": permission denied: write somewhere else, or as root", e);
    }
  }

  /// Fails early, before anything is asked of a server, when FILE may not be written.
  static void check(String file, boolean force) throws IOException {
    Path path = Path.of(file);
    if (file.equals("-")) {
      return;
    }
    Path directory = path.toAbsolutePath().getParent();
    if (directory == null || !Files.isDirectory(directory)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND, path + ": no such directory: create it, or name another FILE");
    }
    if (!Files.exists(path)) {
      return;
    }
    int type = typeOf(path);
    if (type == TYPE_DIRECTORY) {
      throw new CommandFailure(
          ExitCode.USAGE, path + ": is a directory: name a FILE in it, e.g. " + path + "/disk.img");
    }
    if (!force && (type == TYPE_REGULAR || type == TYPE_BLOCK_DEVICE)) {
      throw new CommandFailure(
          ExitCode.BUSY, path + ": exists already: name another FILE, or replace it with --force");
    }
  }

  private static PullTarget open(Path path, boolean force, long sizeBytes) throws IOException {
    check(path.toString(), force);
    if (!Files.exists(path)) {
      return SparseFileTarget.create(path, sizeBytes);
    }
    int type = typeOf(path);
    if (type == TYPE_BLOCK_DEVICE) {
      return BlockDeviceTarget.open(path, sizeBytes);
    }
    // Through a symbolic link to the file itself: the link is to stay one.
    return type == TYPE_REGULAR
        ? SparseFileTarget.create(path.toRealPath(), sizeBytes)
        : new StreamTarget(FileChannel.open(path, StandardOpenOption.WRITE), path.toString());
  }

  private static int typeOf(Path path) throws IOException {
    return (Integer) Files.getAttribute(path, "unix:mode") & TYPE_MASK;
  }
}
