// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;

/// A request of a client.
///
/// @param payload of a WRITE, else empty
@SuppressWarnings("ArrayRecordComponent") // never compared, never changed
record Request(
    long cookie,
    int command,
    int flags,
    int offsetBytes,
    int lengthBytes,
    byte[] payload,
    Expectation expectation) {

  /// As it goes over the wire.
  byte[] bytes(HeaderStyle style) {
    boolean extended = style == HeaderStyle.EXTENDED;
    int allFlags = extended && command == Nbd.CMD_WRITE ? flags | Nbd.CMD_FLAG_PAYLOAD_LEN : flags;
    ByteBuffer out = ByteBuffer.allocate(style.requestBytes() + payload.length);
    out.putInt(style.requestMagic())
        .putShort((short) allFlags)
        .putShort((short) command)
        .putLong(cookie)
        .putLong(offsetBytes);
    if (extended) {
      out.putLong(lengthBytes);
    } else {
      out.putInt(lengthBytes);
    }
    return out.put(payload).array();
  }
}
