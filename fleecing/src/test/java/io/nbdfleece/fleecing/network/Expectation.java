// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

/// What becomes of a request, or of several with the same cookie: replies to these cannot be told
/// apart, so they ask for the same.
interface Expectation {
  /// The server has all bytes of that request: it may be carried out from now on.
  void received(Request request);

  /// One of the requests has been answered.
  ///
  /// @throws AssertionError when that answer may not be
  void answered(Reply reply);
}
