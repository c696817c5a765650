// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import io.netty.buffer.ByteBuf;
import io.netty.channel.AbstractChannel;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelMetadata;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.ChannelPromise;
import io.netty.channel.DefaultChannelConfig;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;

/// The server's end of a connection. It does what Netty's epoll transport does with a socket that
/// may be half-closed: reads while it is asked to, and to its end once the client has ended its
/// half; writes what there is room for, and the rest when there is room again.
final class SimulatedChannel extends AbstractChannel {
  private static final ChannelMetadata METADATA = new ChannelMetadata(false);

  private final BytePipe fromClient;
  private final BytePipe toClient;
  private final Runnable client;
  private final SocketAddress peer;
  private final DefaultChannelConfig config = new Config();
  private boolean open = true;
  private boolean readPending;
  private boolean inputOver;
  private boolean sawEnd;
  private boolean awaitsRoom;
  private long roomAwaitedTotal;

  /// @param client told when there is something for it
  SimulatedChannel(int number, BytePipe fromClient, BytePipe toClient, Runnable client) {
    super(null);
    this.peer = InetSocketAddress.createUnresolved("client-" + number, 1);
    this.fromClient = fromClient;
    this.toClient = toClient;
    this.client = client;
  }

  /// The client has done something. Not on the loop.
  void happened() {
    if (open) {
      ((SimulatedLoop) eventLoop()).ready(this);
    }
  }

  /// Whether replies wait for the client to take others.
  boolean awaitsRoom() {
    return open && awaitsRoom;
  }

  /// How often they had to.
  long roomAwaitedTotal() {
    return roomAwaitedTotal;
  }

  /// On the loop: what epoll would tell.
  void handle() {
    if (!isRegistered()) {
      return; // it looks for input when it is
    }
    if (open && awaitsRoom && (toClient.room() > 0 || toClient.isAbandoned())) {
      awaitsRoom = false;
      ((Socket) unsafe()).flushNow();
    }
    if (open && fromClient.isReset()) {
      pipeline().fireExceptionCaught(new IOException("Connection reset by peer"));
      endInput();
    } else if (open && !inputOver && mayRead() && hasInput()) {
      read0();
    }
    if (open && !sawEnd && fromClient.isFinished()) {
      sawEnd = true;
      read0();
    }
  }

  private boolean mayRead() {
    return readPending || config.isAutoRead();
  }

  private boolean hasInput() {
    return fromClient.available() > 0 || fromClient.isFinished() || fromClient.isReset();
  }

  private void read0() {
    var reads = unsafe().recvBufAllocHandle();
    reads.reset(config);
    boolean end = false;
    do {
      ByteBuf buffer = reads.allocate(config.getAllocator());
      if (buffer.writableBytes() == 0) {
        buffer.release();
        throw new AssertionError("no room to read into");
      }
      reads.attemptedBytesRead(buffer.writableBytes());
      int count = fromClient.take(buffer, buffer.writableBytes());
      end = count == 0 && fromClient.isFinished();
      reads.lastBytesRead(end ? -1 : count);
      if (count == 0) {
        buffer.release();
        break;
      }
      reads.incMessagesRead(1);
      readPending = false;
      pipeline().fireChannelRead(buffer);
    } while (open && (sawEnd || reads.continueReading()));
    reads.readComplete();
    pipeline().fireChannelReadComplete();
    client.run();
    if (end) {
      endInput();
    }
  }

  private void endInput() {
    if (!inputOver) {
      inputOver = true;
      readPending = false;
      pipeline().fireUserEventTriggered(ChannelInputShutdownEvent.INSTANCE);
    }
  }

  @Override
  protected void doBeginRead() {
    readPending = true;
    if (!inputOver && hasInput()) {
      ((SimulatedLoop) eventLoop()).ready(this);
    }
  }

  @Override
  protected void doWrite(ChannelOutboundBuffer replies) throws IOException {
    try {
      while (replies.current() instanceof ByteBuf bytes) {
        if (toClient.isAbandoned()) {
          throw new IOException("Broken pipe");
        }
        if (!bytes.isReadable()) {
          replies.remove();
          continue;
        }
        int count = Math.min(bytes.readableBytes(), toClient.room());
        if (count == 0) {
          awaitsRoom = true;
          roomAwaitedTotal++;
          return;
        }
        toClient.put(bytes, count);
        replies.removeBytes(count);
      }
    } finally {
      client.run();
    }
  }

  /// As TCP: what is unread turns the end into a reset, which destroys replies under way.
  @Override
  protected void doClose() {
    open = false;
    if (fromClient.available() > 0) {
      toClient.reset();
    } else {
      toClient.finish();
    }
    fromClient.abandon();
    client.run();
  }

  @Override
  protected AbstractUnsafe newUnsafe() {
    return new Socket();
  }

  @Override
  protected boolean isCompatible(EventLoop loop) {
    return loop instanceof SimulatedLoop;
  }

  @Override
  protected SocketAddress localAddress0() {
    return peer;
  }

  @Override
  protected SocketAddress remoteAddress0() {
    return peer;
  }

  @Override
  protected void doBind(SocketAddress address) {
    throw new UnsupportedOperationException("bind");
  }

  @Override
  protected void doDisconnect() {
    doClose();
  }

  @Override
  public ChannelConfig config() {
    return config;
  }

  @Override
  public boolean isOpen() {
    return open;
  }

  @Override
  public boolean isActive() {
    return open;
  }

  @Override
  public ChannelMetadata metadata() {
    return METADATA;
  }

  private final class Config extends DefaultChannelConfig {
    Config() {
      super(SimulatedChannel.this);
    }

    @Override
    protected void autoReadCleared() {
      readPending = false;
    }
  }

  private final class Socket extends AbstractUnsafe {
    @Override
    public void connect(SocketAddress remote, SocketAddress local, ChannelPromise promise) {
      promise.setFailure(new UnsupportedOperationException("connect"));
    }

    /// While the socket is full there is no use in trying.
    @Override
    protected void flush0() {
      if (!awaitsRoom) {
        super.flush0();
      }
    }

    void flushNow() {
      super.flush0();
    }
  }
}
