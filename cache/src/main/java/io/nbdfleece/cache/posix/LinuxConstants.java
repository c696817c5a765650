// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

/// Numbers from the Linux headers. Most are the same everywhere; those of open(2) and the layout of
/// struct stat differ between x86-64 and aarch64.
final class LinuxConstants {
  private static final boolean AARCH64 = isAarch64(System.getProperty("os.arch", ""));

  static final int O_RDONLY = 0;
  static final int O_RDWR = 2;
  static final int O_CREAT = 0x40;
  static final int O_EXCL = 0x80;
  static final int O_NONBLOCK = 0x800;
  static final int O_CLOEXEC = 0x80000;
  static final int O_DIRECTORY = directoryFlag(AARCH64);
  static final int O_TMPFILE = 0x400000 | O_DIRECTORY;

  static final int RWF_DSYNC = 2;
  static final int RWF_NOWAIT = 8;

  static final int FALLOC_FL_KEEP_SIZE = 1;
  static final int FALLOC_FL_PUNCH_HOLE = 2;
  static final int FALLOC_FL_ZERO_RANGE = 0x10;

  static final int SEEK_END = 2;
  static final int SEEK_DATA = 3;
  static final int SEEK_HOLE = 4;

  static final int PROT_READ = 1;
  static final int PROT_WRITE = 2;
  static final int MAP_PRIVATE = 2;
  static final int MAP_ANONYMOUS = 0x20;
  static final int MAP_NORESERVE = 0x4000;
  static final int MADV_DONTNEED = 4;
  static final int MADV_POPULATE_WRITE = 23;

  static final int MSG_DONTWAIT = 0x40;
  static final int MSG_MORE = 0x8000;

  /// Of the system call, the same on both, as with all new ones.
  static final long CACHESTAT_NUMBER = 451;

  static final int PRIO_PROCESS = 0;
  static final long SCHED_SETATTR_NUMBER = AARCH64 ? 274 : 314;
  static final long SCHED_GETATTR_NUMBER = AARCH64 ? 275 : 315;

  /// struct sched_attr in its first version: sched_setattr(2).
  static final long SCHED_ATTR_BYTES = 48;

  static final long SCHED_ATTR_POLICY_OFFSET = 4;
  static final long SCHED_ATTR_RUNTIME_OFFSET = 24;
  static final int SCHED_OTHER = 0;

  static final int F_SETFL = 4;
  static final int F_OFD_GETLK = 36;
  static final int F_OFD_SETLK = 37;
  static final short F_RDLCK = 0;
  static final short F_WRLCK = 1;
  static final short F_UNLCK = 2;

  static final long BLKSSZGET = 0x1268;
  static final long FS_IOC_GETFLAGS = 0x80086601L;
  static final long FS_IOC_SETFLAGS = 0x40086602L;
  static final int FS_NOCOW_FL = 0x800000;

  static final long TMPFS_MAGIC = 0x01021994L;
  static final long RAMFS_MAGIC = 0x858458F6L;

  /// struct stat: 144 bytes on x86-64, 128 on aarch64; st_mode lies behind st_nlink on the former.
  static final long STAT_BYTES = 144;

  static final long STAT_MODE_OFFSET = AARCH64 ? 16 : 24;
  static final int S_IFMT = 0xF000;
  static final int S_IFREG = 0x8000;
  static final int S_IFBLK = 0x6000;

  /// struct statfs: all fields but f_fsid are 64-bit words on both.
  static final long STATFS_BYTES = 120;

  static final long STATFS_TYPE_OFFSET = 0;
  static final long STATFS_BAVAIL_OFFSET = 32;
  static final long STATFS_FSID_OFFSET = 56;
  static final long STATFS_FRSIZE_OFFSET = 72;

  static final long STATX_NUMBER = AARCH64 ? 291 : 332;
  static final int AT_FDCWD = -100;

  /// struct statx.
  static final long STATX_BYTES = 256;

  static final long STATX_MASK_OFFSET = 0;
  static final long STATX_BTIME_OFFSET = 80;
  static final int STATX_BTIME = 0x800;

  /// struct flock: l_type, l_whence (16 bits each), l_start, l_len (64 bits each), l_pid.
  static final long FLOCK_BYTES = 32;

  static final long FLOCK_TYPE_OFFSET = 0;
  static final long FLOCK_START_OFFSET = 8;
  static final long FLOCK_LENGTH_OFFSET = 16;

  static final int AF_UNIX = 1;
  static final int AF_INET = 2;
  static final int AF_INET6 = 10;
  static final int SOCK_DGRAM = 2;
  static final int SOCK_CLOEXEC = O_CLOEXEC;
  static final int MSG_NOSIGNAL = 0x4000;

  /// struct sockaddr_storage. All addresses begin with sa_family, 16 bits.
  static final int SOCKADDR_BYTES = 128;

  /// struct sockaddr_un: sun_family, sun_path; the path's 108 bytes hold a final zero.
  static final int SUN_PATH_OFFSET = 2;

  static final int SUN_PATH_BYTES = 108;

  /// struct sockaddr_in and sockaddr_in6: the port in network order, then the address, which in the
  /// latter comes behind sin6_flowinfo.
  static final int SIN_PORT_OFFSET = 2;

  static final int SIN_ADDRESS_OFFSET = 4;
  static final int SIN6_ADDRESS_OFFSET = 8;

  private LinuxConstants() {}

  private static boolean isAarch64(String arch) {
    return switch (arch) {
      case "amd64", "x86_64" -> false;
      case "aarch64", "arm64" -> true;
      default ->
          throw new UnsupportedOperationException(
              "processor: " + arch + " (expected: amd64 or aarch64)");
    };
  }

  private static int directoryFlag(boolean aarch64) {
    return aarch64 ? 0x4000 : 0x10000;
  }
}
