// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.time.Duration;
import java.util.function.Consumer;

/// What a peer may cost us. All durations are 1 ms to 24 days.
///
/// The buffers of all clients together take at most `bytesInFlightTotalMax` and, for each of
/// `connectionsMax`, 512 KiB: 256 KiB in flight that every connection has for itself, so that small
/// requests never wait for others, and 256 KiB of input that has not been worked off. With the
/// defaults that is 1 GiB. The allocator rounds up, by a quarter at most, and payloads of a few
/// bytes in flight may keep some more of the input that they came in.
///
/// @param eventLoopCount threads that serve connections, 1 to 1024
/// @param connectionsMax clients that have opened an export; one more is refused; 1 to 1,000,000
/// @param handshakesMax clients that have not opened an export yet, counted apart; one more takes
///   the place of the oldest of them; 1 to 1,000,000
/// @param handshakeDeadline a client that has not opened an export by then is dropped
/// @param optionsMax options that one client may send, besides 32 for each export it can list; at
///   least 100
/// @param requestsInFlightMax per connection; more are not read from the socket; 1 to 65,536
/// @param bytesInFlightMax per connection, payloads and replies; more are not read from the socket;
///   at least 1. A single request of the maximum size always goes through
/// @param bytesInFlightTotalMax the same for all connections together, besides 256 KiB for each; a
///   request for which there is no room waits its turn. At least 32 MiB, which is one request of
///   the maximum size
/// @param extentsMax descriptors of one metadata context in one reply, 1 to 2^20; 16 when the reply
///   has no room in `bytesInFlightTotalMax`
/// @param stalledReaderDeadline a client that takes no byte of a pending reply for so long is
///   dropped. While others wait for memory that it holds, so is one that in such a time takes less
///   than 64 KiB for each second of it, or sends less of a payload under way: a suspended one does
///   no harm before that
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
  private static final int EVENT_LOOPS_MAX = 1024;
  private static final int CLIENTS_MAX = 1_000_000;
  private static final Duration DURATION_MIN = Duration.ofMillis(1);
  private static final Duration DURATION_MAX = Duration.ofDays(24);

  /// @throws IllegalArgumentException when a value is out of its range
  public ServerLimits {
    check("eventLoopCount", eventLoopCount, 1, EVENT_LOOPS_MAX);
    check("connectionsMax", connectionsMax, 1, CLIENTS_MAX);
    check("handshakesMax", handshakesMax, 1, CLIENTS_MAX);
    check("handshakeDeadline", handshakeDeadline);
    check("optionsMax", optionsMax, 100, Integer.MAX_VALUE);
    check("requestsInFlightMax", requestsInFlightMax, 1, 1 << 16);
    check("bytesInFlightMax", bytesInFlightMax, 1, Long.MAX_VALUE / 2);
    check(
        "bytesInFlightTotalMax",
        bytesInFlightTotalMax,
        WireLimits.PAYLOAD_BYTES_MAX,
        Long.MAX_VALUE / 2);
    check("extentsMax", extentsMax, 1, 1 << 20);
    check("stalledReaderDeadline", stalledReaderDeadline);
    check("tcpUserTimeout", tcpUserTimeout);
  }

  private static void check(String name, long value, long min, long max) {
    if (value < min || value > max) {
      throw new IllegalArgumentException(
          name + ": " + value + " (expected: " + min + " to " + max + ")");
    }
  }

  private static void check(String name, Duration value) {
    if (value.compareTo(DURATION_MIN) < 0 || value.compareTo(DURATION_MAX) > 0) {
      throw new IllegalArgumentException(name + ": " + value + " (expected: 1 ms to 24 days)");
    }
  }

  /// One event loop per processor; 1024 connections, 128 handshakes of 10 s and 128 options; 64
  /// requests and 64 MiB per connection, 512 MiB in all; 2^17 extents; 60 s.
  public static ServerLimits defaults() {
    return new ServerLimits(
        Math.min(EVENT_LOOPS_MAX, Runtime.getRuntime().availableProcessors()),
        1024,
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
    return with(draft -> draft.eventLoopCount = value);
  }

  /// With another [#connectionsMax].
  public ServerLimits withConnectionsMax(int value) {
    return with(draft -> draft.connectionsMax = value);
  }

  /// With another [#handshakesMax].
  public ServerLimits withHandshakesMax(int value) {
    return with(draft -> draft.handshakesMax = value);
  }

  /// With another [#handshakeDeadline].
  public ServerLimits withHandshakeDeadline(Duration value) {
    return with(draft -> draft.handshakeDeadline = value);
  }

  /// With another [#optionsMax].
  public ServerLimits withOptionsMax(int value) {
    return with(draft -> draft.optionsMax = value);
  }

  /// With another [#requestsInFlightMax].
  public ServerLimits withRequestsInFlightMax(int value) {
    return with(draft -> draft.requestsInFlightMax = value);
  }

  /// With another [#bytesInFlightMax].
  public ServerLimits withBytesInFlightMax(long value) {
    return with(draft -> draft.bytesInFlightMax = value);
  }

  /// With another [#bytesInFlightTotalMax].
  public ServerLimits withBytesInFlightTotalMax(long value) {
    return with(draft -> draft.bytesInFlightTotalMax = value);
  }

  /// With another [#extentsMax].
  public ServerLimits withExtentsMax(int value) {
    return with(draft -> draft.extentsMax = value);
  }

  /// With another [#stalledReaderDeadline].
  public ServerLimits withStalledReaderDeadline(Duration value) {
    return with(draft -> draft.stalledReaderDeadline = value);
  }

  /// With another [#tcpUserTimeout].
  public ServerLimits withTcpUserTimeout(Duration value) {
    return with(draft -> draft.tcpUserTimeout = value);
  }

  private ServerLimits with(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.limits();
  }

  /// The same fields, to change one of them.
  private static final class Draft {
    int eventLoopCount;
    int connectionsMax;
    int handshakesMax;
    Duration handshakeDeadline;
    int optionsMax;
    int requestsInFlightMax;
    long bytesInFlightMax;
    long bytesInFlightTotalMax;
    int extentsMax;
    Duration stalledReaderDeadline;
    Duration tcpUserTimeout;

    Draft(ServerLimits limits) {
      eventLoopCount = limits.eventLoopCount;
      connectionsMax = limits.connectionsMax;
      handshakesMax = limits.handshakesMax;
      handshakeDeadline = limits.handshakeDeadline;
      optionsMax = limits.optionsMax;
      requestsInFlightMax = limits.requestsInFlightMax;
      bytesInFlightMax = limits.bytesInFlightMax;
      bytesInFlightTotalMax = limits.bytesInFlightTotalMax;
      extentsMax = limits.extentsMax;
      stalledReaderDeadline = limits.stalledReaderDeadline;
      tcpUserTimeout = limits.tcpUserTimeout;
    }

    ServerLimits limits() {
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
          tcpUserTimeout);
    }
  }
}
