// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;

/// Notices when a file that is being served is not the one any more that its path leads to:
/// somebody has deleted or renamed it, or put another one in its place. Whoever has it open goes on
/// in it, and nobody finds it afterwards.
///
/// **Threads.** Any thread.
public final class NameWatch {
  /* Block devices are not watched: names in /dev come and go while the device stays, and what it
   * holds stays with it. */

  private final LinuxFile file;

  public NameWatch(LinuxFile file) {
    this.file = file;
  }

  /// What has become of the name, and what to do; empty while it is that of the file, and for what
  /// is no regular file. Looks, which may wait for the file system.
  ///
  /// @throws IOException when that cannot be told
  public Optional<String> displacement() throws IOException {
    if (file.kind() != LinuxFile.Kind.REGULAR) {
      return Optional.empty();
    }
    Path open = descriptor(file.enter());
    try {
      if (leadsTo(open, file.path())) {
        return Optional.empty();
      }
      Path now = Files.readSymbolicLink(open);
      return Optional.of(leadsTo(open, now) ? renamed(now) : deleted(open));
    } finally {
      file.leave();
    }
  }

  /// A link to the open file, that the administrator can use as well.
  private static Path descriptor(int fd) {
    return Path.of("/proc/" + ProcessHandle.current().pid() + "/fd/" + fd);
  }

  private static boolean leadsTo(Path open, Path name) throws IOException {
    Object file = Files.readAttributes(open, BasicFileAttributes.class).fileKey();
    try {
      return file.equals(Files.readAttributes(name, BasicFileAttributes.class).fileKey());
    } catch (NoSuchFileException _) {
      return false;
    }
  }

  private String renamed(Path now) {
    return "its file "
        + file.path()
        + " is "
        + now
        + " now, and what is written goes there: give it its name back, or name that one at the"
        + " next start";
  }

  private String deleted(Path open) {
    return "its file "
        + file.path()
        + " was deleted or replaced by another one, and what is written goes into one that is gone"
        + " when the server ends: before that stop the guest, and pull the disk to a new file or"
        + " copy "
        + open;
  }
}
