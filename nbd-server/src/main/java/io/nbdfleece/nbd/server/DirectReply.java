// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.DirectSource;
import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import io.netty.util.AbstractReferenceCounted;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;

/// A reply on its way out whose data never comes into our memory. It leaves when it is its turn, in
/// as many steps as the socket wants; Netty knows such things as regions of files.
final class DirectReply extends AbstractReferenceCounted implements FileRegion {
  private final DirectSource source;
  private final int socket;
  private final ByteBuf buffer;
  private final ByteBuffer head;
  private final int headBytes;
  private final long offsetBytes;
  private final int lengthBytes;
  private int sentBytes;

  /// @param socket the descriptor of the channel that this is written to
  /// @param head of the reply; released with this
  DirectReply(DirectSource source, int socket, ByteBuf head, long offsetBytes, int lengthBytes) {
    this.source = source;
    this.socket = socket;
    this.buffer = head;
    this.head = head.nioBuffer();
    this.headBytes = this.head.remaining();
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
  }

  @Override
  public long position() {
    return offsetBytes;
  }

  @Override
  public long count() {
    return (long) headBytes + lengthBytes;
  }

  @Override
  public long transferred() {
    return (long) headBytes - head.remaining() + sentBytes;
  }

  @Override
  @Deprecated
  public long transfered() {
    return transferred();
  }

  /// @param target is the channel of the socket
  @Override
  public long transferTo(WritableByteChannel target, long positionBytes) throws IOException {
    long before = transferred();
    sentBytes += source.send(socket, head, offsetBytes + sentBytes, lengthBytes - sentBytes);
    return transferred() - before;
  }

  @Override
  protected void deallocate() {
    buffer.release();
  }

  @Override
  public FileRegion retain() {
    super.retain();
    return this;
  }

  @Override
  public FileRegion retain(int increment) {
    super.retain(increment);
    return this;
  }

  @Override
  public FileRegion touch() {
    return this;
  }

  @Override
  public FileRegion touch(Object hint) {
    return this;
  }
}
