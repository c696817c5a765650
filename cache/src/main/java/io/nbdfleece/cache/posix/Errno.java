// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

/// Linux error numbers (asm-generic, so the same on x86-64 and aarch64), their names and texts.
public final class Errno {
  public static final int EPERM = 1;
  public static final int ENOENT = 2;
  public static final int EINTR = 4;
  public static final int EIO = 5;
  public static final int ENXIO = 6;
  public static final int EBADF = 9;
  public static final int EAGAIN = 11;
  public static final int ENOMEM = 12;
  public static final int EACCES = 13;
  public static final int EBUSY = 16;
  public static final int EEXIST = 17;
  public static final int ENODEV = 19;
  public static final int ENOTDIR = 20;
  public static final int EISDIR = 21;
  public static final int EINVAL = 22;
  public static final int ENFILE = 23;
  public static final int EMFILE = 24;
  public static final int ENOTTY = 25;
  public static final int EFBIG = 27;
  public static final int ENOSPC = 28;
  public static final int EROFS = 30;
  public static final int ENAMETOOLONG = 36;
  public static final int ENOLCK = 37;
  public static final int ENOSYS = 38;
  public static final int ELOOP = 40;
  public static final int ENOTSOCK = 88;
  public static final int EOPNOTSUPP = 95;
  public static final int ECONNREFUSED = 111;
  public static final int ESTALE = 116;
  public static final int EDQUOT = 122;
  public static final int ENOMEDIUM = 123;

  private Errno() {}

  /// The symbolic name, such as `ENOSPC`, or `errno 99` for a number that has none here.
  public static String name(int errno) {
    return entry(errno, 0);
  }

  /// A text for people, such as `No space left on device`.
  public static String text(int errno) {
    return entry(errno, 1);
  }

  private static String entry(int errno, int column) {
    String line =
        switch (errno) {
          case EPERM -> "EPERM:Operation not permitted";
          case ENOENT -> "ENOENT:No such file or directory";
          case EINTR -> "EINTR:Interrupted system call";
          case EIO -> "EIO:Input/output error";
          case ENXIO -> "ENXIO:No such device or address";
          case EBADF -> "EBADF:Bad file descriptor";
          case EAGAIN -> "EAGAIN:Resource temporarily unavailable";
          case ENOMEM -> "ENOMEM:Cannot allocate memory";
          case EACCES -> "EACCES:Permission denied";
          case EBUSY -> "EBUSY:Device or resource busy";
          case EEXIST -> "EEXIST:File exists";
          case ENODEV -> "ENODEV:No such device";
          case ENOTDIR -> "ENOTDIR:Not a directory";
          case EISDIR -> "EISDIR:Is a directory";
          case EINVAL -> "EINVAL:Invalid argument";
          case ENFILE -> "ENFILE:Too many open files in system";
          case EMFILE -> "EMFILE:Too many open files";
          case ENOTTY -> "ENOTTY:Inappropriate ioctl for device";
          case EFBIG -> "EFBIG:File too large";
          case ENOSPC -> "ENOSPC:No space left on device";
          case EROFS -> "EROFS:Read-only file system";
          case ENAMETOOLONG -> "ENAMETOOLONG:File name too long";
          case ENOLCK -> "ENOLCK:No locks available";
          case ENOSYS -> "ENOSYS:Function not implemented";
          case ELOOP -> "ELOOP:Too many levels of symbolic links";
          case ENOTSOCK -> "ENOTSOCK:Socket operation on non-socket";
          case ECONNREFUSED -> "ECONNREFUSED:Connection refused";
          case EOPNOTSUPP -> "EOPNOTSUPP:Operation not supported";
          case ESTALE -> "ESTALE:Stale file handle";
          case EDQUOT -> "EDQUOT:Disk quota exceeded";
          case ENOMEDIUM -> "ENOMEDIUM:No medium found";
          default -> "errno " + errno + ":Unknown error " + errno;
        };
    int colon = line.indexOf(':');
    return column == 0 ? line.substring(0, colon) : line.substring(colon + 1);
  }
}
