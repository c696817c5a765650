// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.delta.DeltaMap;
import io.nbdfleece.cli.delta.FullImage;
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
  static PullTarget open(PullOptions options, PullSource source) throws IOException {
    String file = options.file();
    if (file.equals("-")) {
      return new StreamTarget(
          new FileOutputStream(FileDescriptor.out).getChannel(), "standard output");
    }
    Path path = Path.of(file);
    try {
      return open(path, options, source);
    } catch (AccessDeniedException e) {
      throw new CommandFailure(
          ExitCode.FAILED, path + ": permission denied: write somewhere else, or as root", e);
    }
  }

  /// Opens FILE for the changes of an export.
  static PullTarget openDelta(PullOptions options, PullSource source, DirtyRanges dirty)
      throws IOException {
    check(options);
    Path path = Path.of(options.file());
    try {
      return DeltaTarget.create(path, source, dirty);
    } catch (AccessDeniedException e) {
      throw new CommandFailure(
          ExitCode.FAILED, path + ": permission denied: write somewhere else, or as root", e);
    }
  }

  /// Fails early, before anything is asked of a server, when FILE may not be written.
  static void check(PullOptions options) throws IOException {
    Path path = Path.of(options.file());
    boolean resume = options.resume() == PullOptions.Resume.YES;
    if (options.file().equals("-")) {
      if (resume) {
        throw notResumable("standard output");
      }
      return;
    }
    Path directory = path.toAbsolutePath().getParent();
    if (directory == null || !Files.isDirectory(directory)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND, path + ": no such directory: create it, or name another FILE");
    }
    checkNotDangling(path);
    if (options.since().isPresent()) {
      checkDelta(path, options.force());
    }
    if (!Files.exists(path)) {
      checkPoint(path, options);
      return;
    }
    int type = typeOf(path);
    if (type == TYPE_DIRECTORY) {
      throw new CommandFailure(
          ExitCode.USAGE, path + ": is a directory: name a FILE in it, e.g. " + path + "/disk.img");
    }
    if (resume && type != TYPE_REGULAR) {
      throw notResumable(path.toString());
    }
    if (!options.force() && (type == TYPE_REGULAR || type == TYPE_BLOCK_DEVICE)) {
      throw new CommandFailure(
          ExitCode.BUSY, path + ": exists already: name another FILE, or replace it with --force");
    }
    if (type == TYPE_REGULAR) {
      checkNotServed(path);
      checkPoint(path.toRealPath(), options);
    }
  }

  /// Fails at a symbolic link to nothing, most often to a backup volume that is not mounted: a new
  /// file would take the place of the link, and be on the wrong file system.
  private static void checkNotDangling(Path path) throws IOException {
    if (Files.isSymbolicLink(path) && !Files.exists(path)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          path
              + ": link leads to "
              + Files.readSymbolicLink(path)
              + ", which does not exist: mount the file system that it is on, or remove the link");
    }
  }

  /// Fails when it is somebody's disk: replaced, that one would go on in a file without a name, and
  /// be lost with it.
  private static void checkNotServed(Path path) throws IOException {
    if (!Files.isReadable(path)) {
      return; // there is no telling, and it may be replaced
    }
    try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
      ImageLock.requireNoWriter(file);
    } catch (ImageInUseException e) {
      throw inUse(path, e);
    }
  }

  static CommandFailure inUse(Path path, ImageInUseException cause) {
    return new CommandFailure(
        ExitCode.BUSY,
        path + ": in use by another program: stop that one first, or name another FILE",
        cause);
  }

  private static void checkPoint(Path file, PullOptions options) throws IOException {
    if (options.since().isEmpty()) {
      FullImage.check(file);
    }
  }

  private static void checkDelta(Path path, boolean force) throws IOException {
    if (Files.exists(path) && typeOf(path) != TYPE_REGULAR) {
      throw new CommandFailure(
          ExitCode.USAGE, path + ": --since writes a delta and its map: name a regular FILE");
    }
    Path map = DeltaMap.pathOf(path);
    checkNotDangling(map);
    if (!force && Files.exists(map)) {
      throw new CommandFailure(
          ExitCode.BUSY, map + ": exists already: name another FILE, or replace it with --force");
    }
  }

  /// Whether an earlier pull has left something to go on with.
  static boolean isInterrupted(PullOptions options) {
    return options.resume() == PullOptions.Resume.YES
        && Files.exists(ResumableFileTarget.journalOf(Path.of(options.file() + ".part")));
  }

  private static CommandFailure notResumable(String what) {
    return new CommandFailure(
        ExitCode.USAGE, "--resume: " + what + " cannot be gone on with: name a regular FILE");
  }

  private static PullTarget open(Path path, PullOptions options, PullSource source)
      throws IOException {
    check(options);
    if (!Files.exists(path)) {
      return file(path, options, source);
    }
    int type = typeOf(path);
    if (type == TYPE_BLOCK_DEVICE) {
      return BlockDeviceTarget.open(path, source.sizeBytes());
    }
    // Through a symbolic link to the file itself: the link is to stay one.
    return type == TYPE_REGULAR
        ? file(path.toRealPath(), options, source)
        : new StreamTarget(FileChannel.open(path, StandardOpenOption.WRITE), path.toString());
  }

  private static PullTarget file(Path path, PullOptions options, PullSource source)
      throws IOException {
    return switch (options.resume()) {
      case NO -> SparseFileTarget.create(path, source.sizeBytes());
      case YES -> ResumableFileTarget.open(path, source);
    };
  }

  private static int typeOf(Path path) throws IOException {
    return (Integer) Files.getAttribute(path, "unix:mode") & TYPE_MASK;
  }
}
