// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.unix.PeerCredentials;
import io.netty.util.AttributeKey;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.util.Optional;
import java.util.concurrent.RejectedExecutionException;
import javax.net.ssl.SSLProtocolException;
import org.jspecify.annotations.Nullable;

/// One client: hands what arrives to the current [Phase], stops reading when the phase asks for it,
/// and sees to a clean end. Everything runs on the connection's event loop except where stated.
final class Connection extends ChannelInboundHandlerAdapter {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.connections");

  /// The path that clients of a Unix socket know; the kernel's answer is where it was bound first.
  static final AttributeKey<String> SOCKET_PATH =
      AttributeKey.valueOf(Connection.class, "socketPath");

  private final ServerState server;
  private final Channel channel;
  private final InputBuffer input;
  private ClientIdentity identity = ClientIdentity.UNKNOWN;
  private boolean admitted;
  private volatile @Nullable Phase phase;
  private boolean inTurn;
  private boolean consuming;
  private boolean paused;
  private boolean inputEnded;
  private boolean closing;

  /// Between two event loops: what comes meanwhile is for the next one.
  private boolean moving;

  private volatile boolean ended;

  Connection(ServerState server, Channel channel) {
    this.server = server;
    this.channel = channel;
    this.input = new InputBuffer(server.allocator());
  }

  /// Serves an accepted channel.
  static void attach(ServerState server, Channel channel) {
    Connection connection = new Connection(server, channel);
    channel.config().setRecvByteBufAllocator(connection.input);
    channel.pipeline().addLast(connection);
  }

  ServerState server() {
    return server;
  }

  Channel channel() {
    return channel;
  }

  InputBuffer input() {
    return input;
  }

  /// Who the client is, as far as it has been proved by now. Event loop only.
  ClientIdentity identity() {
    return identity;
  }

  /// Whether a batch of input is being worked on, at whose end replies are flushed.
  boolean inTurn() {
    return inTurn || consuming;
  }

  boolean isPaused() {
    return paused;
  }

  /// Whether the last completion has come and the export knows. Any thread.
  boolean hasEnded() {
    return ended;
  }

  @Override
  public void channelActive(ChannelHandlerContext ctx) {
    identity = new ClientIdentity(Optional.empty(), process(channel));
    server.connections().add(this);
    Haggling haggling = new Haggling(this, ctx);
    phase = haggling;
    server.handshakes().begin(this);
    haggling.greet();
    if (server.isClosing()) {
      haggling.shutDown();
    }
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    input.received((ByteBuf) message);
    inTurn = true;
    consume();
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    inTurn = false;
    Phase current = phase;
    if (current != null && !ended && !moving) {
      current.flush();
    }
    goOn();
    if (input.isCiphertext()) {
      dropWhenFlooded();
    }
    if (channel.isActive()) {
      input.settle();
    }
  }

  /// Encryption answers some things by itself, such as a request for new keys, whether or not the
  /// client takes the answers: nothing stops it, since it must go on reading to go on at all.
  private void dropWhenFlooded() {
    Phase current = phase;
    ChannelOutboundBuffer outbound = channel.unsafe().outboundBuffer();
    if (closing || current == null || outbound == null) {
      return;
    }
    long waitingBytes = outbound.totalPendingWriteBytes();
    if (waitingBytes > WireLimits.UNASKED_BYTES_MAX + current.answerBytes()) {
      drop("takes no answers of TLS, waiting=" + waitingBytes);
    }
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event == ChannelInputShutdownEvent.INSTANCE) {
      // Also when paused: what is unread is worked off first, then the end is seen.
      inputEnded = true;
      consume();
      goOn(); // room that came during that, when nobody else says so again
    }
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext ctx) {
    goOn();
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    lose();
  }

  private void lose() {
    closing = true;
    input.release();
    Phase current = phase;
    if (current == null) {
      end();
    } else {
      current.lost();
    }
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    if (cause instanceof SSLProtocolException wrong) {
      drop(String.valueOf(wrong.getMessage()));
    } else if (cause instanceof IOException) {
      LOG.log(Level.DEBUG, () -> "client " + peer() + ": " + cause.getMessage());
    } else {
      LOG.log(Level.ERROR, "client " + peer() + ": dropped: " + cause, cause);
    }
    close();
  }

  /// The next phase takes over the input.
  void enter(Phase next) {
    phase = next;
  }

  /// Runs a step on that event loop, and everything that comes after it: now if this is the one, or
  /// if the server is closing.
  void runOn(EventLoop loop, Runnable step) {
    if (loop.inEventLoop() || server.isClosing()) {
      step.run();
      return;
    }
    moving = true;
    // Netty deregisters when the turn is over. From there until it is registered again nothing of
    // this connection runs anywhere.
    channel
        .deregister()
        .addListener(
            gone ->
                loop.register(channel)
                    .addListener(
                        arrived -> {
                          if (arrived.isSuccess()) {
                            arrive(step);
                          } else {
                            LOG.log(Level.DEBUG, "closed on its way", arrived.cause());
                            lose();
                          }
                        }));
  }

  private void arrive(Runnable step) {
    moving = false;
    inTurn = false;
    if (!closing) {
      step.run();
      consume();
    }
  }

  /// Runs something on the event loop, if that has not ended. Any thread.
  void execute(Runnable task) {
    EventLoop loop = channel.eventLoop();
    try {
      loop.execute(
          () -> {
            if (channel.eventLoop().inEventLoop()) {
              task.run();
            } else {
              execute(task); // it has moved meanwhile
            }
          });
    } catch (RejectedExecutionException serverClosed) {
      LOG.log(Level.DEBUG, "event loop has ended", serverClosed);
    }
  }

  /// Nothing more is read or consumed until the phase may continue.
  void pause() {
    paused = true;
    channel.config().setAutoRead(false);
  }

  /// Goes on if it was paused and the phase may continue.
  void goOn() {
    if (consuming || moving || closing) {
      return;
    }
    Phase current = phase;
    boolean wasPaused = paused;
    while (paused && !closing && current != null && current.mayContinue()) {
      paused = false;
      consume();
      current = phase; // it may be the next one that has paused again
    }
    if (wasPaused && !paused && !closing && !inputEnded) {
      channel.config().setAutoRead(true);
    }
  }

  /// The client broke the protocol or a limit: one line in the log, and the connection ends. What
  /// was answered before is still sent as far as the socket takes it.
  void drop(String why) {
    if (!closing) {
      server.drops().log(peerWithoutPort(), "client " + peer() + ": dropped: " + why);
      channel.flush();
    }
    close();
  }

  /// Not even a reply can be made, and a client that waits for one must not wait for ever.
  void dropForMemory() {
    drop("no memory for its replies");
  }

  /// Others need the place of this handshake. Any thread.
  void evict() {
    execute(
        () -> {
          if (phase instanceof Haggling && !moving) {
            drop("too many handshakes are pending, and this one waits longest");
          }
        });
  }

  /// Encrypts everything from here on, both ways. Nothing may be unread. The answer to
  /// NBD_OPT_STARTTLS has been flushed.
  void encrypt(TlsEndpoint endpoint, Haggling haggling) {
    input.expectCiphertext();
    endpoint
        .encrypt(channel)
        .addListener(
            (Future<ClientIdentity.Tls> done) -> {
              if (done.isSuccess()) {
                identity = new ClientIdentity(Optional.of(done.getNow()), identity.unix());
                haggling.encrypted();
                consume();
              } else {
                drop("TLS handshake failed: " + TlsFailure.text(done.cause()));
              }
            });
  }

  /// Takes one of the places for clients with an open export, until the end of the connection.
  /// Whether there was one.
  boolean admit() {
    admitted = admitted || server.admit();
    return admitted;
  }

  /// Ends the connection now; what has not been sent is lost.
  void close() {
    closing = true;
    channel.close().addListener(ignored -> LOG.log(Level.DEBUG, "closed"));
  }

  /// Ends the connection when everything written so far has been sent.
  void closeWhenSent() {
    if (!closing) {
      closing = true;
      if (!inputEnded) {
        channel.config().setAutoRead(true); // paused or not: consume() says what for
      }
      channel.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
    }
  }

  /// The phase has nothing more to wait for.
  void end() {
    ended = true;
    server.handshakes().end(this);
    if (admitted) {
      admitted = false;
      server.leave();
    }
    server.ended(this);
  }

  /// The server is closing.
  void shutDown() {
    Phase current = phase;
    if (current != null) {
      current.shutDown();
    }
  }

  /// Whether an export is open. Any thread.
  boolean isServing() {
    return phase instanceof Transmission;
  }

  /// For log lines. Any thread.
  String peer() {
    String path = channel.attr(SOCKET_PATH).get();
    return path == null && channel.remoteAddress() instanceof InetSocketAddress tcp
        ? tcp.getHostString() + ":" + tcp.getPort()
        : "on " + path;
  }

  private String peerWithoutPort() {
    return channel.remoteAddress() instanceof InetSocketAddress tcp ? tcp.getHostString() : peer();
  }

  private static Optional<ClientIdentity.Unix> process(Channel channel) {
    if (channel instanceof EpollDomainSocketChannel unix) {
      try {
        PeerCredentials peer = unix.peerCredentials();
        int[] groups = peer.gids();
        if (groups.length > 0) {
          return Optional.of(new ClientIdentity.Unix(peer.uid(), groups[0], peer.pid()));
        }
      } catch (IOException gone) {
        LOG.log(Level.DEBUG, "no credentials of the peer", gone);
      }
    }
    return Optional.empty();
  }

  private void consume() {
    if (consuming || moving) {
      return;
    }
    consuming = true;
    try {
      Phase before;
      do {
        before = phase;
        if (before == null || closing) {
          // What comes behind the end is read and thrown away: unread bytes would turn the close
          // of a TCP socket into a reset, which can destroy replies under way.
          input.release();
          return;
        }
        before.consume();
      } while (phase != before);
      if (!inTurn && !moving) {
        before.flush();
      }
      if (inputEnded && !paused && !closing && !moving) {
        before.inputEnded();
      }
    } catch (OutOfMemoryError noBuffer) {
      dropForMemory();
    } finally {
      consuming = false;
    }
  }
}
