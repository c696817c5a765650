// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;

/// What a client of the control socket may cost us.
///
/// @param messageBytesMax longest message read
/// @param depthMax deepest nesting read
/// @param clientsMax connections at once; more are refused
/// @param unreadBytesMax answers and events that wait for the client to read them: with more, its
///   commands wait; when it is an event that would be more, the client is dropped
public record QmpLimits(int messageBytesMax, int depthMax, int clientsMax, int unreadBytesMax) {

  /// With 1 MiB unread.
  public QmpLimits(int messageBytesMax, int depthMax, int clientsMax) {
    this(messageBytesMax, depthMax, clientsMax, 1 << 20);
  }

  /// 1 MiB, 32 levels, 64 clients, 1 MiB unread.
  public static QmpLimits defaults() {
    return new QmpLimits(1 << 20, Json.DEPTH_MAX, 64);
  }
}
