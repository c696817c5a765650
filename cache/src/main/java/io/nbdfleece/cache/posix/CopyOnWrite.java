// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.FS_IOC_GETFLAGS;
import static io.nbdfleece.cache.posix.LinuxConstants.FS_IOC_SETFLAGS;
import static io.nbdfleece.cache.posix.LinuxConstants.FS_NOCOW_FL;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// File systems that write changed blocks to another place than before, as btrfs does: there even a
/// file whose space was allocated needs more at each change.
public final class CopyOnWrite {
  private CopyOnWrite() {}

  /// Has a file written in place, where the file system can (`chattr +C`); does nothing elsewhere.
  /// The file must be empty. What it holds has no checksum of the file system then.
  public static void avoid(LinuxFile file) throws IOException {
    int fd = file.enter();
    try (Arena arena = Arena.ofConfined()) {
      // The numbers of the calls say long, the kernel takes an int.
      MemorySegment flags = arena.allocate(ValueLayout.JAVA_LONG);
      if (LinuxCalls.ioctl(fd, FS_IOC_GETFLAGS, flags) < 0) {
        return;
      }
      flags.set(ValueLayout.JAVA_INT, 0, flags.get(ValueLayout.JAVA_INT, 0) | FS_NOCOW_FL);
      int _ = LinuxCalls.ioctl(fd, FS_IOC_SETFLAGS, flags);
    } finally {
      file.leave();
    }
  }
}
