// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ExportInfo;
import java.util.Map;

/// What the handshake settled.
///
/// @param replies which kind of replies the server sends
/// @param contextById the metadata contexts in the order in which they were asked for
/// @param minimumBlockBytes power of two; the server may refuse what is not aligned to it
/// @param maximumRequestBytes most bytes that one read or write may carry
record Negotiated(
    ExportInfo info,
    Replies replies,
    Map<Integer, String> contextById,
    int minimumBlockBytes,
    int maximumRequestBytes) {

  enum Replies {
    SIMPLE,
    STRUCTURED
  }
}
