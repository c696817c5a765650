// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.io.IOException;
import java.net.BindException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import java.util.Set;

/// The file of a Unix socket: how it comes to be and goes.
///
/// The socket is bound under another name inside a fresh directory of mode 0700 beside its place,
/// gets mode 0600 there, and is then linked to its place. So nobody else can ever connect in
/// between, whatever the umask, and the file is ready to be used when it appears. A link, unlike a
/// rename, never replaces what another program has put there meanwhile.
final class UnixListenPath {
  /// `sun_path` has 108 bytes, one of them for the end.
  private static final int PATH_BYTES_MAX = 107;

  private static final Set<PosixFilePermission> OWNER_ALL =
      PosixFilePermissions.fromString("rwx------");
  private static final Set<PosixFilePermission> OWNER_RW =
      PosixFilePermissions.fromString("rw-------");

  private final Path path;
  private Object fileKey = new Object();

  private UnixListenPath(Path path) {
    this.path = path;
  }

  /// Binds a socket to a path.
  @FunctionalInterface
  interface Binder {
    void bind(String path) throws IOException;
  }

  /// Puts a listening socket at `path`.
  static UnixListenPath create(Path path, Binder binder) throws IOException {
    UnixListenPath created = new UnixListenPath(path.toAbsolutePath());
    created.create(binder);
    return created;
  }

  /// Removes the socket, unless another program has replaced it.
  void remove() throws IOException {
    try {
      if (fileKey.equals(key(path))) {
        Files.deleteIfExists(path);
      }
    } catch (NoSuchFileException gone) {
      // Somebody has tidied up before us, which is what was wanted.
      return;
    }
  }

  private void create(Binder binder) throws IOException {
    int pathBytes = path.toString().getBytes(StandardCharsets.UTF_8).length;
    if (pathBytes > PATH_BYTES_MAX) {
      throw new IOException(
          "socket path too long: "
              + pathBytes
              + " bytes (expected: at most "
              + PATH_BYTES_MAX
              + "), path="
              + path);
    }
    Path directory = Objects.requireNonNullElse(path.getParent(), Path.of("/"));
    if (!Files.isDirectory(directory)) {
      throw new IOException(
          "socket " + path + ": no such directory: " + directory + ": create it",
          new NoSuchFileException(directory.toString()));
    }
    removeStale();
    Path nursery =
        Files.createTempDirectory(
            directory, ".nbd", PosixFilePermissions.asFileAttribute(OWNER_ALL));
    Path newborn = nursery.resolve("s");
    try {
      bindIn(nursery, newborn, binder);
      Files.setPosixFilePermissions(newborn, OWNER_RW);
      fileKey = key(newborn);
      Files.createLink(path, newborn);
    } catch (FileAlreadyExistsException _) {
      throw inUse();
    } finally {
      Files.deleteIfExists(newborn);
      Files.delete(nursery);
    }
  }

  /// Binds `newborn`; when its own path is too long for a socket, through a short symbolic link.
  private static void bindIn(Path nursery, Path newborn, Binder binder) throws IOException {
    if (newborn.toString().getBytes(StandardCharsets.UTF_8).length <= PATH_BYTES_MAX) {
      binder.bind(newborn.toString());
      return;
    }
    Path detour = Files.createTempDirectory("nbd", PosixFilePermissions.asFileAttribute(OWNER_ALL));
    Path link = detour.resolve("d");
    try {
      Files.createSymbolicLink(link, nursery);
      binder.bind(link.resolve(newborn.getFileName()).toString());
    } finally {
      Files.deleteIfExists(link);
      Files.delete(detour);
    }
  }

  private void removeStale() throws IOException {
    Object found;
    try {
      PosixFileAttributes attributes =
          Files.readAttributes(path, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
      if (!attributes.isOther()) {
        throw new BindException(
            "socket "
                + path
                + ": a file that is not a socket is there, and left alone: choose another path");
      }
      found = Objects.requireNonNull(attributes.fileKey());
    } catch (NoSuchFileException free) {
      return;
    }
    if (isListening()) {
      throw inUse();
    }
    if (found.equals(key(path))) {
      Files.delete(path);
    }
  }

  private BindException inUse() {
    return new BindException(
        "socket " + path + " is in use by another program: stop that one, or choose another path");
  }

  private boolean isListening() throws IOException {
    // Not blocking: a live server whose backlog is full must not make us wait.
    try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      probe.configureBlocking(false);
      boolean connected = probe.connect(UnixDomainSocketAddress.of(path));
      return connected || probe.isOpen();
    } catch (ConnectException refused) {
      return false;
    } catch (IOException unclear) {
      throw new IOException(path + " exists and cannot be tried: " + unclear.getMessage(), unclear);
    }
  }

  private static Object key(Path path) throws IOException {
    return Objects.requireNonNull(
        Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey());
  }
}
