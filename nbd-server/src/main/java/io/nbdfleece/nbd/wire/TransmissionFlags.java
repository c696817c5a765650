// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;

/// What an export can do, as the transmission flags say it (NBD specification, "Transmission
/// flags").
public final class TransmissionFlags {
  private TransmissionFlags() {}

  /// The flags of an export. NBD_FLAG_SEND_DF is tied to structured replies.
  public static int of(ExportInfo info, boolean structuredReplies) {
    int flags = Nbd.FLAG_HAS_FLAGS;
    flags |= isReadOnly(info) ? Nbd.FLAG_READ_ONLY : 0;
    flags |= structuredReplies ? Nbd.FLAG_SEND_DF : 0;
    for (Ability ability : info.abilities()) {
      flags |= of(info, ability);
    }
    return flags;
  }

  /// The same with NBD_FLAG_BLOCK_STATUS_PAYLOAD where it is true: extended headers are agreed on
  /// and metadata contexts of the export are selected.
  public static int of(ExportInfo info, boolean structuredReplies, boolean statusPayload) {
    return of(info, structuredReplies) | (statusPayload ? Nbd.FLAG_BLOCK_STATUS_PAYLOAD : 0);
  }

  /// Whether nothing can change the content.
  public static boolean isReadOnly(ExportInfo info) {
    return !info.can(Ability.WRITE) && !info.can(Ability.TRIM) && !info.can(Ability.WRITE_ZEROES);
  }

  private static int of(ExportInfo info, Ability ability) {
    return switch (ability) {
      // There is no flag for it: its absence shows as NBD_FLAG_READ_ONLY.
      case WRITE -> 0;
      case FLUSH -> Nbd.FLAG_SEND_FLUSH;
      case FUA -> Nbd.FLAG_SEND_FUA;
      case TRIM -> Nbd.FLAG_SEND_TRIM;
      case WRITE_ZEROES -> Nbd.FLAG_SEND_WRITE_ZEROES;
      // Must be clear where zeroing itself is not offered.
      case FAST_ZERO -> info.can(Ability.WRITE_ZEROES) ? Nbd.FLAG_SEND_FAST_ZERO : 0;
      case CACHE -> Nbd.FLAG_SEND_CACHE;
      case MULTI_CONN -> Nbd.FLAG_CAN_MULTI_CONN;
      case ROTATIONAL -> Nbd.FLAG_ROTATIONAL;
    };
  }
}
