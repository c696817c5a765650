// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// Opens the socket, runs the handshake, and turns what goes wrong into messages that say what,
/// where, and what to do next. Blocks; called by application threads.
final class Dialer {
  /// Longest path in a `sockaddr_un`, without the NUL.
  private static final int SOCKET_PATH_BYTES_MAX = 107;

  private static final int RECEIVE_BUFFER_BYTES_MAX = 256 << 10;

  private static final int KEEPALIVE_IDLE_SECONDS = 60;
  private static final int KEEPALIVE_INTERVAL_SECONDS = 10;
  private static final int KEEPALIVE_PROBES = 6;
  private static final int USER_TIMEOUT_MILLIS = 60_000;

  private final NbdUri uri;
  private final EventLoop eventLoop;
  private final Duration deadline;

  Dialer(NbdUri uri, ClientOptions options) throws IOException {
    this.uri = uri;
    this.deadline = options.connectDeadline();
    NbdClientLoop loop = options.loop().orElseGet(NbdClientLoop::shared);
    if (!Epoll.isAvailable()) {
      throw new IOException(
          "the native epoll transport does not load (expected: Linux on x86_64 or aarch64)",
          Epoll.unavailabilityCause());
    }
    this.eventLoop = loop.group().next();
    if (eventLoop.isShuttingDown()) {
      throw new IOException(uri + ": the client's event loop was closed");
    }
    if (eventLoop.inEventLoop()) {
      throw new IllegalStateException(
          "connecting waits (expected: not in a callback of a client's future)");
    }
  }

  /// One exchange with the server, ended by its return or exception.
  interface Exchange<T> {
    T run(HandshakeStream stream, Negotiation negotiation) throws IOException;
  }

  /// Connects and runs the exchange, whose exceptions get the URI put in front. The exchange hands
  /// the stream over or leaves it to be closed.
  <T> T exchange(Exchange<T> exchange) throws IOException {
    Optional<TlsEndpoint> endpoint = tlsEndpoint();
    HandshakeStream stream = dial();
    try {
      return exchange.run(stream, new Negotiation(stream, uri, endpoint));
    } catch (ProtocolViolationException e) {
      stream.close();
      throw new IOException(
          uri + ": the server violated the protocol, it sent " + e.getMessage(), e);
    } catch (IOException e) {
      stream.close();
      throw failure(e.getMessage(), e);
    } catch (RuntimeException | Error e) {
      stream.close();
      throw e;
    }
  }

  private Optional<TlsEndpoint> tlsEndpoint() throws IOException {
    Optional<NbdUri.Tls> tls = uri.tls();
    if (tls.isEmpty()) {
      return Optional.empty();
    }
    String host =
        switch (uri) {
          case NbdUri.Tcp tcp -> tcp.host();
          case NbdUri.Unix unix -> "";
        };
    try {
      return Optional.of(ClientCredentials.endpoint(tls.get(), host));
    } catch (IOException e) {
      throw failure(e.getMessage(), e);
    }
  }

  private HandshakeStream dial() throws IOException {
    return switch (uri) {
      case NbdUri.Unix unix -> dialUnix(unix);
      case NbdUri.Tcp tcp -> dialTcp(tcp);
    };
  }

  private HandshakeStream dialUnix(NbdUri.Unix unix) throws IOException {
    String path = unix.socket().toString();
    int bytes = path.getBytes(UTF_8).length;
    if (bytes > SOCKET_PATH_BYTES_MAX) {
      throw new IOException(
          uri
              + ": the path of the socket has "
              + bytes
              + " bytes (expected: <= "
              + SOCKET_PATH_BYTES_MAX
              + "); use a shorter or a relative path");
    }
    try {
      return dial(EpollDomainSocketChannel.class, new DomainSocketAddress(path));
    } catch (FileNotFoundException e) {
      throw failure("there is no socket " + path + "; is the server started, with this path?", e);
    } catch (ConnectException e) {
      String hint =
          String.valueOf(e.getMessage()).contains("ermission")
              ? "may not open the socket " + path + "; run as its owner or change its mode"
              : "nothing listens on the socket " + path + "; the server has ended, start it again";
      throw failure(hint + " (" + e.getMessage() + ")", e);
    } catch (IOException e) {
      throw failure("cannot connect to the socket " + path + ": " + e.getMessage(), e);
    }
  }

  private HandshakeStream dialTcp(NbdUri.Tcp tcp) throws IOException {
    InetAddress[] addresses;
    try {
      addresses = InetAddress.getAllByName(tcp.host());
    } catch (UnknownHostException e) {
      throw failure("the host " + tcp.host() + " is not known; check the name", e);
    }
    List<IOException> failures = new ArrayList<>();
    for (InetAddress address : addresses) {
      try {
        return dial(EpollSocketChannel.class, new InetSocketAddress(address, tcp.port()));
      } catch (InterruptedIOException e) {
        throw failure(e.getMessage(), e);
      } catch (IOException e) {
        failures.add(e);
      }
    }
    IOException failure =
        failure(
            "cannot connect to port "
                + tcp.port()
                + " ("
                + failures.getFirst().getMessage()
                + "); is the server started, on this port and address?",
            failures.getFirst());
    failures.stream().skip(1).forEach(failure::addSuppressed);
    throw failure;
  }

  private HandshakeStream dial(Class<? extends Channel> type, SocketAddress address)
      throws IOException {
    // The pipeline forgets its handlers when a server closes at once, so the stream is kept here.
    AtomicReference<@Nullable HandshakeStream> opened = new AtomicReference<>();
    Bootstrap bootstrap =
        new Bootstrap()
            .group(eventLoop)
            .channel(type)
            .option(ChannelOption.AUTO_READ, false)
            .option(
                ChannelOption.CONNECT_TIMEOUT_MILLIS,
                Math.clamp(deadline.toMillis(), 1, Integer.MAX_VALUE))
            .option(
                ChannelOption.RECVBUF_ALLOCATOR,
                new AdaptiveRecvByteBufAllocator(4096, 64 << 10, RECEIVE_BUFFER_BYTES_MAX))
            .handler(
                new ChannelInitializer<Channel>() {
                  @Override
                  protected void initChannel(Channel channel) {
                    HandshakeStream stream = new HandshakeStream(channel, deadline);
                    opened.set(stream);
                    channel.pipeline().addLast(stream);
                  }
                });
    if (type == EpollSocketChannel.class) {
      bootstrap
          .option(ChannelOption.TCP_NODELAY, true)
          // A host that lost its power, or a network that was cut, says nothing: without these a
          // request that TCP had acknowledged would wait for ever.
          .option(ChannelOption.SO_KEEPALIVE, true)
          .option(EpollChannelOption.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
          .option(EpollChannelOption.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS)
          .option(EpollChannelOption.TCP_KEEPCNT, KEEPALIVE_PROBES)
          .option(EpollChannelOption.TCP_USER_TIMEOUT, USER_TIMEOUT_MILLIS);
    }
    try {
      await(bootstrap.connect(address));
      return Objects.requireNonNull(opened.get());
    } catch (RejectedExecutionException e) {
      throw new IOException("the client's event loop was closed", e);
    }
  }

  /// Leaves no socket behind when it throws.
  private void await(ChannelFuture connecting) throws IOException {
    try {
      // Netty looks at the deadline itself; a second more in case that its loop has ended.
      if (!connecting.await(deadline.toMillis() + 1000)) {
        var _ = connecting.channel().close();
        throw new IOException("no connection within " + deadline.toMillis() + " ms");
      }
    } catch (InterruptedException e) {
      var _ = connecting.channel().close();
      Thread.currentThread().interrupt();
      InterruptedIOException interrupted = new InterruptedIOException("interrupted");
      interrupted.initCause(e);
      throw interrupted;
    }
    if (!connecting.isSuccess()) {
      throw connecting.cause() instanceof IOException e ? e : new IOException(connecting.cause());
    }
  }

  private IOException failure(@Nullable String what, IOException cause) {
    if (cause instanceof InterruptedIOException) {
      InterruptedIOException interrupted = new InterruptedIOException(uri + ": " + what);
      interrupted.initCause(cause);
      return interrupted;
    }
    return new IOException(uri + ": " + what, cause);
  }
}
