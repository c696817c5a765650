// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/// A raw file or a block device that nobody else writes: it is locked as QEMU locks it. Used by one
/// thread.
final class RawImage implements AutoCloseable {
  private static final int ZERO_BYTES = 1 << 20;

  private final LinuxFile file;
  private final ByteBuffer zeroes = ByteBuffer.allocateDirect(ZERO_BYTES);
  private boolean holesRefused;

  private RawImage(LinuxFile file) {
    this.file = file;
  }

  /// Opens and locks it. Fails when it is not of that size; a block device may be larger.
  static RawImage open(Path path, long sizeBytes) throws IOException {
    if (!Files.exists(path)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          path
              + ": no such file: put the full backup there first, e.g. with"
              + " cp --sparse=always --reflink=auto FULL "
              + path);
    }
    LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_WRITE);
    try {
      ImageLock.acquire(file, LinuxFile.Access.READ_WRITE); // held until the file is closed
      long haveBytes = file.sizeBytes();
      boolean fits =
          haveBytes == sizeBytes || (file.kind() == LinuxFile.Kind.BLOCK && haveBytes > sizeBytes);
      if (!fits) {
        throw new CommandFailure(
            ExitCode.FAILED,
            path
                + ": is "
                + ByteSize.format(haveBytes)
                + " ("
                + haveBytes
                + " bytes), the deltas are of a disk of "
                + ByteSize.format(sizeBytes)
                + " ("
                + sizeBytes
                + " bytes): name the full backup that they go with");
      }
      return new RawImage(file);
    } catch (ImageInUseException e) {
      file.close();
      throw new CommandFailure(
          ExitCode.BUSY, path + ": in use by another program: stop that one first", e);
    } catch (IOException e) {
      file.close();
      throw e;
    }
  }

  /// Whether it is a block device.
  boolean isDevice() {
    return file.kind() == LinuxFile.Kind.BLOCK;
  }

  /// Takes `data` from position to limit.
  void write(long offsetBytes, ByteBuffer data) throws IOException {
    while (data.hasRemaining()) {
      offsetBytes += file.write(data, offsetBytes);
    }
  }

  /// The range reads as zeroes then, and takes no space if the file system can do that.
  void zero(long offsetBytes, long lengthBytes) throws IOException {
    if (!holesRefused) {
      try {
        file.punchHole(offsetBytes, lengthBytes);
        return;
      } catch (PosixException e) {
        // Not every file system and device can, nor every range; writing zeroes always works.
        holesRefused = true;
      }
    }
    long end = offsetBytes + lengthBytes;
    while (offsetBytes < end) {
      zeroes.clear().limit((int) Math.min(ZERO_BYTES, end - offsetBytes));
      offsetBytes += file.write(zeroes, offsetBytes);
    }
  }

  /// Waits until what was written is on stable storage.
  void sync() throws IOException {
    file.dataSync();
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
