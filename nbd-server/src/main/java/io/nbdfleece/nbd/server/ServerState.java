// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/// What the connections of one server share. Thread-safe.
final class ServerState {
  private final ExportCatalog catalog;
  private final ServerLimits limits;
  private final ByteBufAllocator allocator;
  private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
  private final Semaphore endings = new Semaphore(0);
  private final AtomicInteger openCount = new AtomicInteger();
  private final DropLog drops = new DropLog(System::nanoTime);
  private final Handshakes handshakes;
  private final ServerTls tls;
  private volatile Optional<TlsEndpoint> endpoint;
  private final FlightBudget flightBudget;
  private final Optional<EventLoops> loops;
  private volatile boolean closing;

  /// Without encryption.
  ServerState(ExportCatalog catalog, ServerLimits limits, ByteBufAllocator allocator) {
    this(catalog, limits, allocator, ServerTls.OFF, Optional.empty(), Optional.empty());
  }

  private ServerState(
      ExportCatalog catalog,
      ServerLimits limits,
      ByteBufAllocator allocator,
      ServerTls tls,
      Optional<TlsEndpoint> endpoint,
      Optional<EventLoops> loops) {
    this.catalog = catalog;
    this.limits = limits;
    this.tls = tls;
    this.endpoint = endpoint;
    this.allocator = allocator;
    this.loops = loops;
    handshakes = new Handshakes(limits.handshakesMax(), System::nanoTime);
    flightBudget = new FlightBudget(limits.bytesInFlightTotalMax());
  }

  /// Reads the credentials; fails with what is wrong with them.
  ///
  /// @param loops empty: connections stay where they have begun
  static ServerState create(
      ExportCatalog catalog,
      ServerLimits limits,
      ServerTls tls,
      ByteBufAllocator allocator,
      Optional<EventLoops> loops)
      throws IOException {
    return new ServerState(catalog, limits, allocator, tls, read(tls), loops);
  }

  private static Optional<TlsEndpoint> read(ServerTls tls) throws IOException {
    if (tls.credentials().isEmpty()) {
      return Optional.empty();
    }
    TlsCredentials credentials = tls.credentials().get();
    return Optional.of(TlsEndpoint.server(credentials, tls.verifyClients()));
  }

  /// See [NbdServer#reloadTls].
  void reloadTls() throws IOException {
    endpoint = read(tls);
  }

  /// Encrypts new connections; empty when TLS is off.
  Optional<TlsEndpoint> endpoint() {
    return endpoint;
  }

  boolean requiresTls() {
    return tls.mode() == ServerTls.Mode.REQUIRE;
  }

  /// Where a connection belongs that is about to open such an export.
  EventLoop loopOf(Channel channel, ExportInfo info) {
    return loops.map(all -> all.of(channel, info)).orElseGet(channel::eventLoop);
  }

  /// Those that have not opened an export yet.
  Handshakes handshakes() {
    return handshakes;
  }

  DropLog drops() {
    return drops;
  }

  /// Takes a place among the connections that have an export open, if there is one; [#leave] gives
  /// it back.
  boolean admit() {
    int max = limits.connectionsMax();
    return openCount.getAndUpdate(count -> count < max ? count + 1 : count) < max;
  }

  void leave() {
    int left = openCount.decrementAndGet();
    assert left >= 0;
  }

  ExportCatalog catalog() {
    return catalog;
  }

  ServerLimits limits() {
    return limits;
  }

  ByteBufAllocator allocator() {
    return allocator;
  }

  FlightBudget flightBudget() {
    return flightBudget;
  }

  /// Those that have begun and not ended.
  Set<Connection> connections() {
    return connections;
  }

  void ended(Connection connection) {
    if (connections.remove(connection)) {
      endings.release();
    }
  }

  /// One permit for each connection that has ended.
  Semaphore endings() {
    return endings;
  }

  boolean isClosing() {
    return closing;
  }

  void close() {
    closing = true;
  }
}
