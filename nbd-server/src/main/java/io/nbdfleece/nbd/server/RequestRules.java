// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;

/// Which requests one connection may make: command, flags, permission, range, alignment, in this
/// order. Everything behind this trusts them. Immutable.
final class RequestRules {
  private static final int UNKNOWN = -1;

  private final long sizeBytes;
  private final boolean hasContexts;
  private final boolean extended;
  private final int alignmentBytes;

  /// The flags allowed for each command; [#UNKNOWN] for one that is not offered.
  private final int[] flagsAllowed = new int[Nbd.CMD_BLOCK_STATUS + 1];

  /// Commands that exist here, but not for this export.
  private final boolean[] forbidden = new boolean[Nbd.CMD_BLOCK_STATUS + 1];

  RequestRules(ExportInfo info, HeaderStyle style, boolean hasContexts) {
    sizeBytes = info.sizeBytes();
    this.hasContexts = hasContexts;
    extended = style == HeaderStyle.EXTENDED;
    alignmentBytes = info.minimumBlockBytes();
    int fua = info.can(Ability.FUA) ? Nbd.CMD_FLAG_FUA : 0;
    int fast = info.can(Ability.FAST_ZERO) ? Nbd.CMD_FLAG_FAST_ZERO : 0;
    flagsAllowed[Nbd.CMD_READ] = fua | (style.isChunked() ? Nbd.CMD_FLAG_DF : 0);
    int payload = extended ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0;
    flagsAllowed[Nbd.CMD_WRITE] = fua | payload;
    // Never asked: NBD_CMD_DISC is not checked at all.
    flagsAllowed[Nbd.CMD_DISC] = UNKNOWN;
    flagsAllowed[Nbd.CMD_FLUSH] = info.can(Ability.FLUSH) ? fua : UNKNOWN;
    flagsAllowed[Nbd.CMD_TRIM] = fua;
    flagsAllowed[Nbd.CMD_CACHE] = info.can(Ability.CACHE) ? fua : UNKNOWN;
    flagsAllowed[Nbd.CMD_WRITE_ZEROES] = fua | fast | Nbd.CMD_FLAG_NO_HOLE;
    flagsAllowed[Nbd.CMD_BLOCK_STATUS] = fua | Nbd.CMD_FLAG_REQ_ONE | payload;
    // A writable export without trimming does not know the command; one that cannot be written
    // knows it and forbids it.
    boolean writable = info.can(Ability.WRITE);
    forbidden[Nbd.CMD_WRITE] = !writable;
    restrict(Nbd.CMD_TRIM, info.can(Ability.TRIM), writable);
    restrict(Nbd.CMD_WRITE_ZEROES, info.can(Ability.WRITE_ZEROES), writable);
  }

  private void restrict(int command, boolean offered, boolean writable) {
    if (!offered && writable) {
      flagsAllowed[command] = UNKNOWN;
    }
    forbidden[command] = !offered && !writable;
  }

  /// The text that goes with a verdict.
  String text(Verdict verdict) {
    return verdict == Verdict.NOT_ALIGNED
        ? "not aligned to " + alignmentBytes + " bytes"
        : verdict.text();
  }

  /// Offset and length as unsigned numbers of 64 bits.
  Verdict check(int command, int flags, long offsetBytes, long lengthBytes) {
    if (command >= flagsAllowed.length || flagsAllowed[command] == UNKNOWN) {
      return Verdict.UNKNOWN_COMMAND;
    }
    if ((flags & ~flagsAllowed[command]) != 0) {
      // Tells a client that cannot write that it cannot, rather than that its flags are wrong.
      return forbidden[command] ? Verdict.NOT_ALLOWED : Verdict.BAD_FLAGS;
    }
    if (forbidden[command]) {
      return Verdict.NOT_ALLOWED;
    }
    if (command == Nbd.CMD_FLUSH) {
      return offsetBytes == 0 && lengthBytes == 0 ? Verdict.ACCEPTED : Verdict.NOT_ZERO;
    }
    // An offset or a length of 2^63 or more is negative here.
    if (offsetBytes < 0
        || offsetBytes > sizeBytes
        || lengthBytes < 0
        || lengthBytes > sizeBytes - offsetBytes) {
      return command == Nbd.CMD_WRITE || command == Nbd.CMD_WRITE_ZEROES
          ? Verdict.NO_ROOM
          : Verdict.PAST_END;
    }
    if (command <= Nbd.CMD_WRITE && lengthBytes > WireLimits.PAYLOAD_BYTES_MAX) {
      return Verdict.TOO_LONG;
    }
    if (((offsetBytes | lengthBytes) & (alignmentBytes - 1)) != 0) {
      return Verdict.NOT_ALIGNED;
    }
    return command == Nbd.CMD_BLOCK_STATUS && !hasContexts ? Verdict.NO_CONTEXT : Verdict.ACCEPTED;
  }
}
