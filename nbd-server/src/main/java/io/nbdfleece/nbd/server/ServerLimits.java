// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.time.Duration;

/// What a peer may cost us.
///
/// @param eventLoopCount threads that serve connections, at least 1
/// @param connectionsMax clients that have opened an export; one more is refused
/// @param handshakesMax clients that have not opened an export yet, counted apart; one more takes
///   the place of the oldest of them
/// @param handshakeDeadline a client that has not opened an export by then is dropped
/// @param optionsMax options that one client may send, besides 32 for each export it can list; at
///   least 100
/// @param requestsInFlightMax per connection; more are not read from the socket
/// @param bytesInFlightMax per connection, payloads and replies; more are not read from the socket.
///   A single request of the maximum size always goes through
/// @param bytesInFlightTotalMax the same for all connections together; who has none in flight may
///   always begin one request
/// @param extentsMax descriptors of one metadata context in one reply, 1 to 2^20
/// @param stalledReaderDeadline a client that takes no byte of a pending reply for so long is
///   dropped
/// @param tcpUserTimeout a TCP peer that acknowledges nothing for so long is given up by the kernel
public record ServerLimits(
    int eventLoopCount,
    int connectionsMax,
    int handshakesMax,
    Duration handshakeDeadline,
    int optionsMax,
    int requestsInFlightMax,
    long bytesInFlightMax,
    long bytesInFlightTotalMax,
    int extentsMax,
    Duration stalledReaderDeadline,
    Duration tcpUserTimeout) {

  /// One event loop per processor; 4096 connections, 128 handshakes of 10 s and 128 options; 64
  /// requests and 64 MiB per connection, 512 MiB in all; 2^17 extents; 60 s.
  public static ServerLimits defaults() {
    return new ServerLimits(
        Runtime.getRuntime().availableProcessors(),
        4096,
        128,
        Duration.ofSeconds(10),
        128,
        64,
        64L << 20,
        512L << 20,
        1 << 17,
        Duration.ofSeconds(60),
        Duration.ofSeconds(60));
  }

  /// With another [#eventLoopCount].
  public ServerLimits withEventLoopCount(int value) {
    return new ServerLimits(
        value,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#connectionsMax].
  public ServerLimits withConnectionsMax(int value) {
    return new ServerLimits(
        eventLoopCount,
        value,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#handshakesMax].
  public ServerLimits withHandshakesMax(int value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        value,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#handshakeDeadline].
  public ServerLimits withHandshakeDeadline(Duration value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        value,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#optionsMax].
  public ServerLimits withOptionsMax(int value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        value,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#requestsInFlightMax].
  public ServerLimits withRequestsInFlightMax(int value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        value,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#bytesInFlightMax].
  public ServerLimits withBytesInFlightMax(long value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        value,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#bytesInFlightTotalMax].
  public ServerLimits withBytesInFlightTotalMax(long value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        value,
        extentsMax,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#extentsMax].
  public ServerLimits withExtentsMax(int value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        value,
        stalledReaderDeadline,
        tcpUserTimeout);
  }

  /// With another [#stalledReaderDeadline].
  public ServerLimits withStalledReaderDeadline(Duration value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        value,
        tcpUserTimeout);
  }

  /// With another [#tcpUserTimeout].
  public ServerLimits withTcpUserTimeout(Duration value) {
    return new ServerLimits(
        eventLoopCount,
        connectionsMax,
        handshakesMax,
        handshakeDeadline,
        optionsMax,
        requestsInFlightMax,
        bytesInFlightMax,
        bytesInFlightTotalMax,
        extentsMax,
        stalledReaderDeadline,
        value);
  }
}
