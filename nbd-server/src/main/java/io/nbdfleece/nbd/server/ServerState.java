// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportCatalog;
import io.netty.buffer.ByteBufAllocator;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;

/// What the connections of one server share. Thread-safe.
final class ServerState {
  private final ExportCatalog catalog;
  private final ServerLimits limits;
  private final ByteBufAllocator allocator;
  private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
  private final Semaphore endings = new Semaphore(0);
  private final FlightBudget flightBudget;
  private volatile boolean closing;

  ServerState(ExportCatalog catalog, ServerLimits limits, ByteBufAllocator allocator) {
    this.catalog = catalog;
    this.limits = limits;
    this.allocator = allocator;
    this.flightBudget = new FlightBudget(limits.bytesInFlightTotalMax());
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
