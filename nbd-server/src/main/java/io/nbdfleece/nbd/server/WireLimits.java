// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.time.Duration;

/// The fixed limits of the server; the ones to choose are in [ServerLimits].
final class WireLimits {
  private WireLimits() {}

  /// Largest READ or WRITE, advertised as NBD_INFO_BLOCK_SIZE; QEMU's own number.
  static final int PAYLOAD_BYTES_MAX = 32 << 20;

  /// What each connection may have in flight besides [ServerLimits#bytesInFlightTotalMax], so that
  /// small requests pass whatever others do.
  static final int OWN_BYTES = 256 << 10;

  /// Who holds memory that others wait for has to bring or take as much for each second of the
  /// deadline of a stalled client. That is slow; who is slower holds up all large requests.
  private static final int PROGRESS_BYTES_PER_SECOND = 64 << 10;

  /// The same within a whole deadline.
  static long progressBytes(Duration deadline) {
    return Math.max(1, deadline.toSeconds()) * PROGRESS_BYTES_PER_SECOND;
  }

  /// Bytes that wait to be sent and are no answers of ours, such as those to new keys of TLS.
  static final int UNASKED_BYTES_MAX = 1 << 20;

  /// What the message and the record of a short reply take besides it, and a mark behind it.
  static final int REPLY_OVERHEAD_BYTES_MAX = 512;

  /// Descriptors of one context in one reply when memory is short.
  static final int SHORT_EXTENTS_MAX = 16;

  /// A WRITE above [#PAYLOAD_BYTES_MAX] and up to here is consumed and refused; a longer one ends
  /// the connection.
  static final long DISCARDED_PAYLOAD_BYTES_MAX = 64L << 20;

  /// Longest BLOCK_STATUS answered at once. Round, so that no extent ends at an odd offset only
  /// because lengths have 32 bits.
  static final long STATUS_BYTES_MAX = 0xffff_0000L;

  /// Longest option that is looked at; has room for a name and hundreds of queries.
  static final int OPTION_BYTES_MAX = 64 << 10;

  /// A longer option is skipped up to this length; a still longer one ends the connection.
  static final int DISCARDED_OPTION_BYTES_MAX = 1 << 20;

  /// All options of one handshake together.
  static final long OPTIONS_BYTES_MAX = 16L << 20;

  /// Options one client may send for each export it can list, besides the configured number.
  static final int OPTIONS_PER_EXPORT_MAX = 32;

  /// Replies are handed to the socket when this many bytes are waiting, even within a batch, so
  /// that they are still in the processor's cache.
  static final int UNFLUSHED_BYTES_MAX = 128 << 10;
}
