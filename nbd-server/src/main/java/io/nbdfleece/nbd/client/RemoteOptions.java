// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.time.Duration;

/// How a [RemoteExport] keeps in touch with its server.
///
/// @param connectionsMax connections to use, 1 to 64; one only if the server does not say that
///   several behave as one
/// @param reconnectDelay how long requests wait for a server that went away to come back, from the
///   moment it went; then they fail with EIO. Zero: they fail at once, while connecting is tried
///   again in the background
/// @param requestDeadline a connection that does not answer a request for so long is given up as if
///   it had broken; zero: never
public record RemoteOptions(int connectionsMax, Duration reconnectDelay, Duration requestDeadline) {
  public RemoteOptions {
    if (connectionsMax < 1 || connectionsMax > 64) {
      throw new IllegalArgumentException(
          "connectionsMax: " + connectionsMax + " (expected: 1 to 64)");
    }
    if (isOutOfRange(reconnectDelay) || isOutOfRange(requestDeadline)) {
      throw new IllegalArgumentException(
          "reconnectDelay: "
              + reconnectDelay
              + " requestDeadline: "
              + requestDeadline
              + " (expected: 0 to 365 days each)");
    }
  }

  private static boolean isOutOfRange(Duration duration) {
    return duration.isNegative() || duration.compareTo(Duration.ofDays(365)) > 0;
  }

  /// 4 connections, 0 s, no deadline.
  public static RemoteOptions defaults() {
    return new RemoteOptions(4, Duration.ZERO, Duration.ZERO);
  }
}
