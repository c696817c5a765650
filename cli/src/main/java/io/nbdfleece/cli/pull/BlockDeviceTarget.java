// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// A block device. What was on it is overwritten, zeroes included: nothing is known of its old
/// content, and discarding does not promise zeroes.
final class BlockDeviceTarget implements PullTarget {
  private static final int ZERO_BYTES = 1 << 20;

  private final Path device;
  private final FileChannel channel;
  private final ByteBuffer zeroes = ByteBuffer.allocateDirect(ZERO_BYTES);

  private BlockDeviceTarget(Path device, FileChannel channel) {
    this.device = device;
    this.channel = channel;
  }

  /// Opens it; fails when it is too small.
  static BlockDeviceTarget open(Path device, long sizeBytes) throws IOException {
    FileChannel channel = FileChannel.open(device, StandardOpenOption.WRITE);
    if (channel.size() < sizeBytes) {
      long haveBytes = channel.size();
      channel.close();
      throw new CommandFailure(
          ExitCode.FAILED,
          device
              + ": too small, "
              + ByteSize.format(haveBytes)
              + " for "
              + ByteSize.format(sizeBytes)
              + ": use a larger one");
    }
    return new BlockDeviceTarget(device, channel);
  }

  @Override
  public boolean isSequential() {
    return false;
  }

  @Override
  public void data(long offsetBytes, ByteBuffer data) throws IOException {
    while (data.hasRemaining()) {
      offsetBytes += channel.write(data, offsetBytes);
    }
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) throws IOException {
    long end = offsetBytes + lengthBytes;
    while (offsetBytes < end) {
      zeroes.clear().limit((int) Math.min(ZERO_BYTES, end - offsetBytes));
      offsetBytes += channel.write(zeroes, offsetBytes);
    }
  }

  @Override
  public void finish(Sync sync) throws IOException {
    if (sync == Sync.FSYNC) {
      channel.force(true);
    }
    channel.close();
  }

  @Override
  public void discard() {
    try {
      channel.close();
    } catch (IOException e) {
      System.getLogger("nbdfleece.pull")
          .log(System.Logger.Level.WARNING, "cannot close {0}: {1}", device, e.getMessage());
    }
  }

  @Override
  public String name() {
    return device.toString();
  }
}
