// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/// A block device. What was on it is overwritten, zeroes included: nothing is known of its old
/// content.
final class BlockDeviceTarget implements PullTarget {
  private static final int ZERO_BYTES = 1 << 20;

  private final Path path;
  private final LinuxFile device;
  private final ByteBuffer zeroes = ByteBuffer.allocateDirect(ZERO_BYTES);
  private boolean zeroingRefused;
  private volatile boolean finished;

  private BlockDeviceTarget(Path path, LinuxFile device) {
    this.path = path;
    this.device = device;
  }

  /// Opens and locks it; fails when it is too small or in use.
  static BlockDeviceTarget open(Path path, long sizeBytes) throws IOException {
    LinuxFile device = LinuxFile.open(path, LinuxFile.Access.READ_WRITE);
    try {
      ImageLock.acquire(device, LinuxFile.Access.READ_WRITE); // held until the file is closed
      long haveBytes = device.sizeBytes();
      if (haveBytes < sizeBytes) {
        throw new CommandFailure(
            ExitCode.FAILED,
            path
                + ": too small, "
                + ByteSize.format(haveBytes)
                + " for "
                + ByteSize.format(sizeBytes)
                + ": use a larger one");
      }
      return new BlockDeviceTarget(path, device);
    } catch (ImageInUseException e) {
      device.close();
      throw PullTargets.inUse(path, e);
    } catch (IOException e) {
      device.close();
      throw e;
    }
  }

  @Override
  public boolean isSequential() {
    return false;
  }

  @Override
  public void data(long offsetBytes, ByteBuffer data) throws IOException {
    while (data.hasRemaining()) {
      offsetBytes += device.write(data, offsetBytes);
    }
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) throws IOException {
    if (!zeroingRefused) {
      try {
        device.zeroRange(offsetBytes, lengthBytes);
        return;
      } catch (PosixException e) {
        // Not every device can, nor every range; writing zeroes always works.
        zeroingRefused = true;
      }
    }
    long end = offsetBytes + lengthBytes;
    while (offsetBytes < end) {
      zeroes.clear().limit((int) Math.min(ZERO_BYTES, end - offsetBytes));
      offsetBytes += device.write(zeroes, offsetBytes);
    }
  }

  @Override
  public void finish(Sync sync) throws IOException {
    if (sync == Sync.FSYNC) {
      device.dataSync();
    }
    finished = true;
    device.close();
  }

  @Override
  public void discard() {
    try {
      device.close();
    } catch (IOException e) {
      System.getLogger("nbdfleece.pull")
          .log(Level.WARNING, "cannot close {0}: {1}", path, e.getMessage());
    }
  }

  @Override
  public Left keep() {
    discard();
    return finished ? Left.ALL : Left.PART;
  }

  @Override
  public String name() {
    return path.toString();
  }
}
