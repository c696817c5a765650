// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import java.util.Optional;

/// A listening Unix socket that only its owner, or also a group, can connect to, at no moment
/// anybody else.
///
/// The file mode of a socket comes from the umask, and changing it afterwards leaves a gap. So it
/// is bound inside a private directory beside its place, gets its mode there, and is linked to its
/// place when it is ready. A link, other than a rename, never replaces somebody else's file.
final class UnixSocket implements AutoCloseable {
  private static final int PATH_BYTES_MAX = 107;

  private final ServerSocketChannel channel;
  private final Path path;
  private final Object fileKey;

  private UnixSocket(ServerSocketChannel channel, Path path, Object fileKey) {
    this.channel = channel;
    this.path = path;
    this.fileKey = fileKey;
  }

  /// Listens at `path`, mode 0600, or 0660 with a group. A socket that nobody listens on is
  /// replaced.
  static UnixSocket listen(Path path, Optional<GroupPrincipal> group) throws IOException {
    if (path.toString().getBytes(StandardCharsets.UTF_8).length > PATH_BYTES_MAX) {
      // It could be made here, bound under a shorter name, but nobody could connect to it.
      throw new CommandFailure(
          ExitCode.USAGE,
          "control socket, "
              + path
              + ": longer than the "
              + PATH_BYTES_MAX
              + " bytes of a Unix socket: give a shorter --qmp PATH");
    }
    removeStale(path);
    Path directory = path.toAbsolutePath().getParent();
    if (directory == null || !Files.isDirectory(directory)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          "control socket, " + path + ": no such directory: create it, or give --qmp PATH");
    }
    Path nest;
    try {
      nest = Files.createTempDirectory(directory, ".q");
    } catch (IOException e) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "control socket, "
              + path
              + ": cannot create it ("
              + e.getMessage()
              + "): give a place you may write to with --qmp PATH",
          e);
    }
    ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      Path bound = nest.resolve("s");
      Object fileKey;
      try {
        channel.bind(UnixDomainSocketAddress.of(bound));
        restrict(bound, group);
        fileKey = key(bound);
        Files.createLink(path, bound);
      } catch (FileAlreadyExistsException e) {
        throw taken(path);
      } catch (CommandFailure e) {
        throw e;
      } catch (IOException e) {
        throw new CommandFailure(
            ExitCode.FAILED,
            "control socket, " + path + ": " + e.getMessage() + ": give another --qmp PATH",
            e);
      } finally {
        Files.deleteIfExists(bound);
        Files.deleteIfExists(nest);
      }
      return new UnixSocket(channel, path, fileKey);
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  private static void restrict(Path bound, Optional<GroupPrincipal> group) throws IOException {
    PosixFileAttributeView view =
        Files.getFileAttributeView(bound, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS);
    // The group first: before that its members are others.
    if (group.isPresent()) {
      try {
        view.setGroup(group.get());
      } catch (FileSystemException e) {
        throw new CommandFailure(
            ExitCode.FAILED,
            "control socket: cannot give it to group "
                + group.get().getName()
                + " ("
                + Objects.requireNonNullElse(e.getReason(), "access denied")
                + "): run the server as a member of the group (SupplementaryGroups= of a systemd"
                + " unit), or without --qmp-group",
            e);
      }
    }
    Files.setPosixFilePermissions(
        bound, PosixFilePermissions.fromString(group.isPresent() ? "rw-rw----" : "rw-------"));
  }

  SocketChannel accept() throws IOException {
    return channel.accept();
  }

  boolean isOpen() {
    return channel.isOpen();
  }

  /// Ends listening and removes the file, unless another program has replaced it.
  @Override
  public void close() throws IOException {
    if (channel.isOpen()) {
      try {
        removeIf(path, fileKey); // before the close: then it would be anybody's to replace
      } finally {
        channel.close();
      }
    }
  }

  private static void removeIf(Path path, Object fileKey) throws IOException {
    try {
      if (fileKey.equals(key(path))) {
        Files.delete(path);
      }
    } catch (NoSuchFileException gone) {
      // As was wanted.
      assert gone.getFile() != null;
    }
  }

  private static Object key(Path path) throws IOException {
    return Objects.requireNonNull(
        Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey());
  }

  private static void removeStale(Path path) throws IOException {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    BasicFileAttributes found =
        Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    if (!found.isOther()) {
      throw new CommandFailure(
          ExitCode.BUSY,
          "control socket, " + path + ": a file that is no socket is there: give --qmp PATH");
    }
    try (SocketChannel _ = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      throw taken(path);
    } catch (ConnectException refused) {
      // Nobody listens: its server was killed before it could remove the file.
      removeIf(path, Objects.requireNonNull(found.fileKey()));
    } catch (CommandFailure e) {
      throw e;
    } catch (IOException unclear) {
      throw new CommandFailure(
          ExitCode.BUSY,
          "control socket, "
              + path
              + ": is there and cannot be tried ("
              + unclear.getMessage()
              + "): give this server its own with --qmp PATH",
          unclear);
    }
  }

  private static CommandFailure taken(Path path) {
    return new CommandFailure(
        ExitCode.BUSY,
        "control socket, "
            + path
            + ": another nbdfleece serve uses it: give this one its own with --qmp PATH");
  }
}
