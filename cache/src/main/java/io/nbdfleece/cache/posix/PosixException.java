// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.io.IOException;

/// A system call failed. The message is `operation path: text (ENAME)`.
public final class PosixException extends IOException {
  private static final long serialVersionUID = 1;

  private final int errno;

  /// @param operation what was tried, and on what: `write /var/tmp/disk.img`
  /// @param errno a positive number, see [Errno]
  public PosixException(String operation, int errno) {
    super(operation + ": " + Errno.text(errno) + " (" + Errno.name(errno) + ")");
    this.errno = errno;
  }

  /// The error number, see [Errno].
  public int errno() {
    return errno;
  }

  /// The file, its file system or its device cannot do this at all; another way may work.
  public boolean isUnsupported() {
    return errno == Errno.EOPNOTSUPP || errno == Errno.ENOSYS;
  }

  /// There is no room for what was to be written: device full, quota, or file size limit.
  public boolean isNoRoom() {
    return errno == Errno.ENOSPC || errno == Errno.EDQUOT || errno == Errno.EFBIG;
  }
}
