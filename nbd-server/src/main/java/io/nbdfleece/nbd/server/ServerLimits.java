// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.time.Duration;

/// What a peer may cost us.
///
/// @param eventLoopCount threads that serve connections, at least 1
/// @param handshakeDeadline a client that has not opened an export by then is dropped
/// @param requestsInFlightMax per connection; more are not read from the socket
/// @param bytesInFlightMax per connection, payloads and replies; more are not read from the socket.
///   A single request of the maximum size always goes through
/// @param stalledReaderDeadline a client that takes no byte of a pending reply for so long is
///   dropped
public record ServerLimits(
    int eventLoopCount,
    Duration handshakeDeadline,
    int requestsInFlightMax,
    long bytesInFlightMax,
    Duration stalledReaderDeadline) {

  /// 10 s, 64 requests, 64 MiB, 60 s, and one event loop per processor.
  public static ServerLimits defaults() {
    return new ServerLimits(
        Runtime.getRuntime().availableProcessors(),
        Duration.ofSeconds(10),
        64,
        64L << 20,
        Duration.ofSeconds(60));
  }
}
