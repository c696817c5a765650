// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;

/// Standard output, a pipe, a character device: everything, in order, zeroes written out.
final class StreamTarget implements PullTarget {
  private static final int ZERO_BYTES = 256 << 10;

  private final WritableByteChannel channel;
  private final String name;
  private final ByteBuffer zeroes = ByteBuffer.allocateDirect(ZERO_BYTES);

  StreamTarget(WritableByteChannel channel, String name) {
    this.channel = channel;
    this.name = name;
  }

  @Override
  public boolean isSequential() {
    return true;
  }

  @Override
  public void data(long offsetBytes, ByteBuffer data) throws IOException {
    while (data.hasRemaining()) {
      write(data);
    }
  }

  private int write(ByteBuffer data) throws IOException {
    try {
      return channel.write(data);
    } catch (ClosedChannelException interrupted) {
      throw interrupted;
    } catch (IOException e) {
      throw new IOException(
          name + ": " + Messages.of(e) + ": what has been written there is not all: start over", e);
    }
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) throws IOException {
    long left = lengthBytes;
    while (left > 0) {
      zeroes.clear().limit((int) Math.min(ZERO_BYTES, left));
      while (zeroes.hasRemaining()) {
        left -= write(zeroes);
      }
    }
  }

  @Override
  public void finish(Sync sync) throws IOException {
    channel.close();
  }

  @Override
  public void discard() {
    // What a reader of a stream has got cannot be taken back; the exit code tells.
  }

  @Override
  public String name() {
    return name;
  }
}
