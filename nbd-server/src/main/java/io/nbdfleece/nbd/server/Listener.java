// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdUri;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.Optional;

/// One bound address. Thread-safe.
final class Listener {
  /// As many as the kernel allows by default (net.core.somaxconn).
  private static final int BACKLOG = 4096;

  /// The kernel gives what it may (net.core.wmem_max) and doubles it: then a reply of 256 KiB goes
  /// into a Unix socket at once.
  private static final int UNIX_SEND_BUFFER_BYTES = 1 << 20;

  private static final int KEEPALIVE_IDLE_SECONDS = 60;
  private static final int KEEPALIVE_INTERVAL_SECONDS = 10;
  private static final int KEEPALIVE_PROBES = 6;

  private final Channel channel;
  private final NbdUri uri;
  private final Optional<UnixListenPath> socketFile;

  private Listener(Channel channel, NbdUri uri, Optional<UnixListenPath> socketFile) {
    this.channel = channel;
    this.uri = uri;
    this.socketFile = socketFile;
  }

  static Listener bind(ServerConfig.Listen listen, EventLoopGroup loops, ServerState state)
      throws IOException {
    return switch (listen) {
      case ServerConfig.Listen.Tcp tcp -> bindTcp(tcp.address(), loops, state);
      case ServerConfig.Listen.Unix unix -> bindUnix(unix, loops, state);
      case ServerConfig.Listen.Inherited inherited ->
          adopt(InheritedSocket.adopt(inherited.descriptor()), loops, state);
    };
  }

  NbdUri uri() {
    return uri;
  }

  /// Accepts no more, and removes the socket file. Waits for it.
  void close() throws IOException {
    try {
      // The file first, so that the next server finds the place free when we stop listening.
      if (socketFile.isPresent()) {
        socketFile.get().remove();
      }
    } finally {
      channel.close().awaitUninterruptibly();
    }
  }

  private static Listener bindTcp(
      InetSocketAddress address, EventLoopGroup loops, ServerState state) throws IOException {
    if (address.isUnresolved()) {
      throw new IOException("unknown host: " + address.getHostString());
    }
    ServerBootstrap bootstrap =
        tcp(loops, state)
            .channel(EpollServerSocketChannel.class)
            .option(ChannelOption.SO_REUSEADDR, true);
    Channel channel;
    try {
      channel = bind(bootstrap, address);
    } catch (IOException e) {
      throw explain(address, e);
    }
    InetSocketAddress bound = (InetSocketAddress) channel.localAddress();
    NbdUri uri = new NbdUri.Tcp(bound.getAddress().getHostAddress(), bound.getPort(), "");
    return new Listener(channel, uri, Optional.empty());
  }

  private static IOException explain(InetSocketAddress address, IOException error) {
    String where = "port " + address.getPort() + " on " + address.getAddress().getHostAddress();
    String text = String.valueOf(error.getMessage());
    if (text.contains("Address already in use")) {
      return new BindException(where + " is in use: choose another with --port");
    }
    if (text.contains("Permission denied")) {
      return new IOException(where + " needs privileges: choose one from 1024 with --port", error);
    }
    if (text.contains("Cannot assign requested address")) {
      return new IOException(where + ": this machine does not have that address", error);
    }
    return new IOException(where + ": " + text, error);
  }

  private static Listener bindUnix(
      ServerConfig.Listen.Unix unix, EventLoopGroup loops, ServerState state) throws IOException {
    ServerBootstrap bootstrap =
        unix(loops, state, unix.path().toString()).channel(EpollServerDomainSocketChannel.class);
    Channel[] bound = new Channel[1];
    try {
      UnixListenPath file =
          UnixListenPath.create(
              unix.path(), path -> bound[0] = bind(bootstrap, new DomainSocketAddress(path)));
      NbdUri uri = new NbdUri.Unix(unix.path().toAbsolutePath(), "");
      return new Listener(bound[0], uri, Optional.of(file));
    } catch (IOException e) {
      if (bound[0] != null) {
        bound[0].close().awaitUninterruptibly();
      }
      throw e;
    }
  }

  private static Listener adopt(InheritedSocket socket, EventLoopGroup loops, ServerState state)
      throws IOException {
    int descriptor = socket.descriptor();
    ServerBootstrap bootstrap =
        switch (socket.uri()) {
          case NbdUri.Unix unix ->
              unix(loops, state, unix.socket().toString())
                  .channelFactory(() -> new EpollServerDomainSocketChannel(descriptor, true));
          case NbdUri.Tcp tcp ->
              tcp(loops, state).channelFactory(() -> new EpollServerSocketChannel(descriptor));
        };
    // Bound and listening already.
    ChannelFuture registered = bootstrap.register().awaitUninterruptibly();
    if (!registered.isSuccess()) {
      throw new IOException("cannot listen on " + socket.uri(), registered.cause());
    }
    return new Listener(registered.channel(), socket.uri(), Optional.empty());
  }

  private static ServerBootstrap tcp(EventLoopGroup loops, ServerState state) {
    long userTimeoutMillis = state.limits().tcpUserTimeout().toMillis();
    return bootstrap(loops, state)
        .childOption(ChannelOption.TCP_NODELAY, true)
        .childOption(ChannelOption.SO_KEEPALIVE, true)
        .childOption(EpollChannelOption.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
        .childOption(EpollChannelOption.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS)
        .childOption(EpollChannelOption.TCP_KEEPCNT, KEEPALIVE_PROBES)
        .childOption(
            EpollChannelOption.TCP_USER_TIMEOUT,
            (int) Math.min(Integer.MAX_VALUE, userTimeoutMillis));
  }

  private static ServerBootstrap unix(EventLoopGroup loops, ServerState state, String path) {
    return bootstrap(loops, state)
        .childAttr(Connection.SOCKET_PATH, path)
        .childOption(ChannelOption.SO_SNDBUF, UNIX_SEND_BUFFER_BYTES);
  }

  private static ServerBootstrap bootstrap(EventLoopGroup loops, ServerState state) {
    return new ServerBootstrap()
        .group(loops)
        .option(ChannelOption.SO_BACKLOG, BACKLOG)
        .handler(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel listening) {
                LoopbackTcp.prepare(listening);
                listening.pipeline().addLast(new AcceptBrake(state.handshakes()));
              }
            })
        .childOption(ChannelOption.ALLOCATOR, state.allocator())
        // A client that has sent its last request may close its half and still gets the replies.
        .childOption(ChannelOption.ALLOW_HALF_CLOSURE, true)
        .childHandler(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel child) {
                LoopbackTcp.tune(child);
                Connection.attach(state, child);
              }
            });
  }

  private static Channel bind(ServerBootstrap bootstrap, SocketAddress address) throws IOException {
    ChannelFuture bound = bootstrap.bind(address).awaitUninterruptibly();
    if (bound.isSuccess()) {
      return bound.channel();
    }
    Throwable cause = bound.cause();
    throw cause instanceof IOException io
        ? io
        : new IOException("cannot bind " + address + ": " + cause, cause);
  }
}
