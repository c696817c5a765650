// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.STATFS_BYTES;
import static io.nbdfleece.cache.posix.LinuxConstants.STATFS_FSID_OFFSET;
import static io.nbdfleece.cache.posix.LinuxConstants.STATFS_TYPE_OFFSET;
import static io.nbdfleece.cache.posix.LinuxConstants.STATX_BTIME;
import static io.nbdfleece.cache.posix.LinuxConstants.STATX_BTIME_OFFSET;
import static io.nbdfleece.cache.posix.LinuxConstants.STATX_BYTES;
import static io.nbdfleece.cache.posix.LinuxConstants.STATX_MASK_OFFSET;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.Set;

/// What a file keeps for its life, however its file system is mounted: the number of the device may
/// be another one after each start of the machine.
///
/// @param bornEpochNanos when it was made, in ns since 1970; empty where that is not noted
/// @param fileSystem what tells its file system, or subvolume, from others; empty where that has
///   nothing of its own
public record FileOrigin(OptionalLong bornEpochNanos, OptionalLong fileSystem) {
  /// ext2 to ext4, Btrfs, ZFS: their f_fsid is made of an identifier that is stored in the file
  /// system. That of others is the device's number, or nothing.
  private static final Set<Long> IDENTIFIED = Set.of(0xEF53L, 0x9123_683EL, 0x2FC1_2FC1L);

  private static final long NANOS = 1_000_000_000L;

  /// Of the file that a path leads to. May wait, as any question to a file system of the network.
  public static FileOrigin of(Path path) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom(path.toString());
      MemorySegment area = arena.allocate(STATX_BYTES, 8);
      check("statx", path, LinuxCalls.statx(name, STATX_BTIME, area));
      OptionalLong born = OptionalLong.empty();
      if ((area.get(ValueLayout.JAVA_INT, STATX_MASK_OFFSET) & STATX_BTIME) != 0) {
        long seconds = area.get(ValueLayout.JAVA_LONG, STATX_BTIME_OFFSET);
        int nanos = area.get(ValueLayout.JAVA_INT, STATX_BTIME_OFFSET + Long.BYTES);
        born = OptionalLong.of(seconds * NANOS + nanos);
      }
      MemorySegment system = arena.allocate(STATFS_BYTES, 8);
      check("statfs", path, LinuxCalls.statfs(name, system));
      long type = system.get(ValueLayout.JAVA_LONG, STATFS_TYPE_OFFSET) & 0xFFFF_FFFFL;
      long id = system.get(ValueLayout.JAVA_LONG, STATFS_FSID_OFFSET);
      return new FileOrigin(
          born, IDENTIFIED.contains(type) && id != 0 ? OptionalLong.of(id) : OptionalLong.empty());
    }
  }

  private static void check(String call, Path path, int result) throws PosixException {
    if (result < 0) {
      throw new PosixException(call + " " + path, -result);
    }
  }
}
