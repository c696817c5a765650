// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.buffer.ByteBuf;

/// The payload of a request that has been refused: it is skipped, and then the refusal is sent.
/// Used on the event loop only.
final class DiscardedPayload {
  private long leftBytes;
  private long cookie;
  private long offsetBytes;
  private Verdict verdict = Verdict.ACCEPTED;

  void begin(RequestHeader header, Verdict why) {
    leftBytes = header.lengthBytes();
    cookie = header.cookie();
    offsetBytes = header.offsetBytes();
    verdict = why;
  }

  boolean isUnderWay() {
    return leftBytes > 0;
  }

  /// Skips what there is of it; whether that was the end.
  boolean skip(ByteBuf in) {
    int now = (int) Math.min(leftBytes, in.readableBytes());
    in.skipBytes(now);
    leftBytes -= now;
    return leftBytes == 0;
  }

  /// The rest of it will not come.
  void forget() {
    leftBytes = 0;
  }

  long cookie() {
    return cookie;
  }

  long offsetBytes() {
    return offsetBytes;
  }

  Verdict verdict() {
    return verdict;
  }
}
