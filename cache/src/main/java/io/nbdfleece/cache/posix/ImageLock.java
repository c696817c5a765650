// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.F_OFD_GETLK;
import static io.nbdfleece.cache.posix.LinuxConstants.F_OFD_SETLK;
import static io.nbdfleece.cache.posix.LinuxConstants.F_RDLCK;
import static io.nbdfleece.cache.posix.LinuxConstants.F_UNLCK;
import static io.nbdfleece.cache.posix.LinuxConstants.F_WRLCK;

import java.io.IOException;

/// Keeps other programs from using a disk image in a way that does not go with ours. It speaks the
/// convention of QEMU's raw images, so that QEMU and its tools refuse what we hold, and we refuse
/// what they hold.
///
/// A permission `i` is a bit: 0 consistent read, 1 write, 2 write unchanged, 3 resize.
///
/// ```
///   byte 100+i   share-locked by everyone who uses permission i
///   byte 200+i   share-locked by everyone who cannot bear others to use permission i
/// ```
///
/// Locks belong to the open file (OFD locks), so two opens of one process exclude each other too,
/// and closing the file gives them back.
public final class ImageLock implements AutoCloseable {
  private static final long USED_BASE = 100;
  private static final long UNSHARED_BASE = 200;
  private static final String[] NAMES = {"consistent read", "write", "write unchanged", "resize"};

  private static final int CONSISTENT_READ = 1;
  private static final int WRITE = 1 << 1;
  private static final int RESIZE = 1 << 3;

  private final LinuxFile file;
  private final int used;
  private final int unshared;

  private ImageLock(LinuxFile file, int used, int unshared) {
    this.file = file;
    this.used = used;
    this.unshared = unshared;
  }

  /// Takes the locks or none. Does not wait for others to go.
  ///
  /// @param access READ_ONLY goes with any other use; READ_WRITE with readers that bear a writer
  /// @throws ImageInUseException if someone else's use does not go with this
  /// @throws PosixException if the file system has no such locks
  public static ImageLock acquire(LinuxFile file, LinuxFile.Access access) throws IOException {
    ImageLock lock =
        switch (access) {
          case READ_ONLY -> new ImageLock(file, CONSISTENT_READ, 0);
          case READ_WRITE -> new ImageLock(file, CONSISTENT_READ | WRITE | RESIZE, WRITE | RESIZE);
        };
    try {
      lock.take();
    } catch (IOException e) {
      try {
        lock.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      throw e;
    }
    return lock;
  }

  /// Fails when another program writes the image, or may. Takes no lock.
  ///
  /// @throws ImageInUseException if so
  public static void requireNoWriter(LinuxFile file) throws IOException {
    ImageLock none = new ImageLock(file, 0, 0);
    int write = Integer.numberOfTrailingZeros(WRITE);
    if (none.isLockedByOthers(USED_BASE + write)) {
      throw none.inUse("uses", write);
    }
  }

  private void take() throws IOException {
    // First claim, then look: of two that start at the same moment at least one sees the other.
    for (int i = 0; i < NAMES.length; i++) {
      if ((used >> i & 1) != 0) {
        file.lockByte(F_OFD_SETLK, F_RDLCK, USED_BASE + i);
      }
      if ((unshared >> i & 1) != 0) {
        file.lockByte(F_OFD_SETLK, F_RDLCK, UNSHARED_BASE + i);
      }
    }
    for (int i = 0; i < NAMES.length; i++) {
      if ((used >> i & 1) != 0 && isLockedByOthers(UNSHARED_BASE + i)) {
        throw inUse("does not share", i);
      }
      if ((unshared >> i & 1) != 0 && isLockedByOthers(USED_BASE + i)) {
        throw inUse("uses", i);
      }
    }
  }

  private boolean isLockedByOthers(long offsetBytes) throws IOException {
    return file.lockByte(F_OFD_GETLK, F_WRLCK, offsetBytes) != F_UNLCK;
  }

  private ImageInUseException inUse(String verb, int permission) {
    return new ImageInUseException(
        "image is in use: "
            + file.path()
            + " (another program "
            + verb
            + " the \""
            + NAMES[permission]
            + "\" permission; stop it first)");
  }

  /// Gives the locks back. Not needed when the file is closed.
  @Override
  public void close() throws IOException {
    for (int i = 0; i < NAMES.length; i++) {
      if ((used >> i & 1) != 0) {
        file.lockByte(F_OFD_SETLK, F_UNLCK, USED_BASE + i);
      }
      if ((unshared >> i & 1) != 0) {
        file.lockByte(F_OFD_SETLK, F_UNLCK, UNSHARED_BASE + i);
      }
    }
  }
}
