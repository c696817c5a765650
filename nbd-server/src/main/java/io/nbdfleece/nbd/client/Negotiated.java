// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ExportInfo;
import java.util.Map;

/// What the handshake settled.
///
/// @param export the same for everybody to read
/// @param info what requests are checked against
/// @param replies which kind of replies the server sends
/// @param contextById the metadata contexts in the order in which they were asked for
/// @param minimumBlockBytes power of two; the server may refuse what is not aligned to it
/// @param maximumRequestBytes most bytes that one read or write may carry
record Negotiated(
    NegotiatedExport export,
    ExportInfo info,
    Replies replies,
    Map<Integer, String> contextById,
    int minimumBlockBytes,
    int maximumRequestBytes) {

  enum Replies {
    SIMPLE,
    STRUCTURED,
    /// Structured ones with headers of 64-bit lengths, in both directions.
    EXTENDED
  }

  boolean isExtended() {
    return replies == Replies.EXTENDED;
  }
}
