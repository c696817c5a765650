// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.NbdUri;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.epoll.Epoll;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/// An NBD server: fixed newstyle, over TCP and Unix sockets (NBD specification, `doc/proto.md`).
/// Every method may be called by any thread.
///
/// ```
///   NbdServer ── Listener ──accepts──▶ Connection ── Haggling ── Option…      (handshake)
///                                          │    └─── Transmission ── Command… (requests)
///                                          ├─ InputBuffer     bytes in
///                                          └─ Replies         bytes out, what is in flight
/// ```
public final class NbdServer {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.connections");

  private static final int PAGE_BYTES = 8 << 10;

  /// Chunks of 8 KiB << 10 = 8 MiB: room for every request that clients usually make.
  private static final int CHUNK_ORDER = 10;

  /// What a thread keeps of small and of page-sized buffers; Netty's own defaults.
  private static final int SMALL_CACHED = 256;

  private static final int NORMAL_CACHED = 64;

  private static final Duration LOOP_END = Duration.ofSeconds(5);

  private final EventLoops loops;
  private final ServerState state;
  private final List<Listener> listeners;
  private final List<NbdUri> uris;
  private final AtomicBoolean closeBegun = new AtomicBoolean();
  private final CountDownLatch closed = new CountDownLatch(1);

  private NbdServer(EventLoops loops, ServerState state, List<Listener> listeners) {
    this.loops = loops;
    this.state = state;
    this.listeners = List.copyOf(listeners);
    this.uris = listeners.stream().map(Listener::uri).toList();
  }

  /// Binds every address and serves; when it returns, clients can connect. Fails with a message
  /// that names the address (port taken, socket path in use, directory missing) or the file of TLS
  /// credentials that is wrong; then nothing stays bound.
  public static NbdServer start(ServerConfig config, ExportCatalog catalog) throws IOException {
    if (!Epoll.isAvailable()) {
      throw new IOException("epoll is not available", Epoll.unavailabilityCause());
    }
    int loopCount = config.limits().eventLoopCount();
    EventLoops loops = EventLoops.create(loopCount, config.threadStarts());
    ServerState state =
        ServerState.create(
            catalog, config.limits(), config.tls(), allocator(loopCount), Optional.of(loops));
    List<Listener> listeners = new ArrayList<>();
    try {
      for (ServerConfig.Listen listen : config.listen()) {
        listeners.add(Listener.bind(listen, loops.accepting(), state));
      }
      return new NbdServer(loops, state, listeners);
    } catch (IOException | RuntimeException e) {
      new NbdServer(loops, state, listeners).close(Duration.ZERO);
      throw e;
    }
  }

  /// Whether [#start] can work on this system. The first call loads what it needs for that, which
  /// takes a while.
  public static boolean isSupported() {
    return Epoll.isAvailable();
  }

  /* A reader's loop shares its arena with a guest's: each has a chunk that it keeps. */
  private static PooledByteBufAllocator allocator(int arenaCount) {
    return new PooledByteBufAllocator(
        true, 0, arenaCount, PAGE_BYTES, CHUNK_ORDER, SMALL_CACHED, NORMAL_CACHED, false);
  }

  /// What is bound, in the order of the configuration, port 0 resolved, with an empty export name.
  public List<NbdUri> uris() {
    return uris;
  }

  /// Reads the files of the TLS credentials again, for every handshake that begins from now on;
  /// connections that are encrypted already go on as they are. Fails with what is wrong with which
  /// file; then the old credentials stay in use. Without TLS it does nothing.
  public void reloadTls() throws IOException {
    state.reloadTls();
  }

  /// Clients connected now, negotiating ones included.
  public int connectionCount() {
    return state.connections().size();
  }

  /// For tests, which look for leaks.
  ByteBufAllocator allocator() {
    return state.allocator();
  }

  /// For tests, which look at their sockets.
  Set<Connection> connections() {
    return state.connections();
  }

  /// For tests: what connections have taken of [ServerLimits#bytesInFlightTotalMax].
  long flightBytes() {
    return state.flightBudget().takenBytes();
  }

  /// Stops accepting, answers new requests with ESHUTDOWN, waits at most `drain` for what is in
  /// flight and its replies, closes the connections and removes the Unix sockets. Idempotent.
  ///
  /// It may take some seconds more than `drain` for the threads to end. Must not be called by an
  /// export inside one of its methods: that is a thread it would wait for.
  public void close(Duration drain) {
    if (loops.isOneOfThem()) {
      throw new IllegalStateException("close: called on an event loop of this server");
    }
    boolean interrupted = false;
    long untilNanos = System.nanoTime() + drain.toNanos();
    if (closeBegun.compareAndSet(false, true)) {
      try {
        interrupted = close(untilNanos);
      } finally {
        closed.countDown();
      }
    } else {
      try {
        boolean done =
            closed.await(drain.plus(LOOP_END).plus(LOOP_END).toNanos(), TimeUnit.NANOSECONDS);
        LOG.log(Level.DEBUG, "closed by another thread: {0}", done);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /// Whether it was interrupted, which ends the waiting but not the closing.
  private boolean close(long untilNanos) {
    boolean interrupted = false;
    state.close();
    for (Listener listener : listeners) {
      try {
        listener.close();
      } catch (IOException e) {
        LOG.log(Level.WARNING, "cannot remove the socket of " + listener.uri() + ": " + e);
      }
    }
    onEach(Connection::shutDown);
    try {
      awaitEndOf(Connection::isServing, untilNanos);
    } catch (InterruptedException e) {
      interrupted = true;
    }
    onEach(Connection::close);
    // An export that never completes keeps its connection from ending, not us.
    try {
      if (!loops.close(LOOP_END.toMillis())) {
        LOG.log(Level.WARNING, "event loops did not end in time");
      }
    } catch (InterruptedException e) {
      interrupted = true;
    }
    return interrupted;
  }

  private void awaitEndOf(java.util.function.Predicate<Connection> which, long untilNanos)
      throws InterruptedException {
    while (state.connections().stream().anyMatch(which)) {
      long leftNanos = untilNanos - System.nanoTime();
      if (leftNanos <= 0 || !state.endings().tryAcquire(leftNanos, TimeUnit.NANOSECONDS)) {
        LOG.log(Level.INFO, "requests still in flight after the drain are given up");
        return;
      }
    }
  }

  private void onEach(java.util.function.Consumer<Connection> action) {
    for (Connection connection : state.connections()) {
      connection.execute(() -> action.accept(connection));
    }
  }
}
