// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

/// How nbdfleece is to stand to others in one case.
///
/// @param others the beginning of the names of those that it is compared with, of whom the best one
///   counts; empty for all peers
/// @param factor at least so much better, see [Metric#ratio]
record Goal(Metric metric, String others, double factor) {
  /// Against the best one of all peers.
  static Goal ofAll(Metric metric, double factor) {
    return new Goal(metric, "", factor);
  }

  boolean concerns(String peer) {
    return peer.startsWith(others);
  }
}
