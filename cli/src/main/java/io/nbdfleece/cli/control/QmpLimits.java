// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;

/// What a client of the control socket may cost us.
///
/// @param messageBytesMax longest message read
/// @param depthMax deepest nesting read
/// @param clientsMax connections at once; more are closed at once
public record QmpLimits(int messageBytesMax, int depthMax, int clientsMax) {

  /// 1 MiB, 32 levels, 64 clients.
  public static QmpLimits defaults() {
    return new QmpLimits(1 << 20, Json.DEPTH_MAX, 64);
  }
}
