// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;

/// One reply to an option (NBD specification, "Option haggling").
///
/// @param type NBD_REP_…
/// @param payload from position to limit
record OptionReply(int type, ByteBuffer payload) {

  boolean isError() {
    return (type & Nbd.REP_ERR) != 0;
  }

  /// An error for people: its name, and the server's own text if it sent one.
  String errorText() {
    String name =
        switch (type) {
          case Nbd.REP_ERR_UNSUP -> "it does not know this option";
          case Nbd.REP_ERR_POLICY -> "its policy forbids it";
          case Nbd.REP_ERR_INVALID -> "it calls the option invalid";
          case Nbd.REP_ERR_PLATFORM -> "its platform cannot do it";
          case Nbd.REP_ERR_TLS_REQD -> "it requires TLS";
          case Nbd.REP_ERR_UNKNOWN -> "it has no such export";
          case Nbd.REP_ERR_SHUTDOWN -> "it is shutting down";
          case Nbd.REP_ERR_BLOCK_SIZE_REQD -> "it requires block sizes";
          case Nbd.REP_ERR_TOO_BIG -> "it calls the option too big";
          case Nbd.REP_ERR_EXT_HEADER_REQD -> "it requires extended headers";
          default -> "error " + (type & ~Nbd.REP_ERR);
        };
    return name + serverText();
  }

  /// What the server says itself, in parentheses, or nothing.
  String serverText() {
    byte[] bytes = takeRest();
    return bytes.length == 0 ? "" : " (the server says: " + ServerText.forPeople(bytes) + ")";
  }

  byte[] takeBytes(int count) {
    byte[] bytes = new byte[count];
    payload.get(bytes);
    return bytes;
  }

  byte[] takeRest() {
    return takeBytes(payload.remaining());
  }
}
