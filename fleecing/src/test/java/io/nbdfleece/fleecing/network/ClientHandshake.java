// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/// A client's side of the handshake: opens an export, with `base:allocation` where that is known.
final class ClientHandshake {
  private static final int GREETING_BYTES = 18;
  private static final int REPLY_HEADER_BYTES = 20;

  private final HeaderStyle style;
  private final String export;
  private boolean greeted;
  private State state = State.UNDER_WAY;

  enum State {
    UNDER_WAY,
    DONE,
    /// There is no such export.
    REFUSED
  }

  ClientHandshake(HeaderStyle style, String export) {
    this.style = style;
    this.export = export;
  }

  State state() {
    return state;
  }

  /// All that is sent; it waits for no answer.
  byte[] bytes() {
    byte[] name = export.getBytes(StandardCharsets.UTF_8);
    byte[] context = ExportInfo.BASE_ALLOCATION.getBytes(StandardCharsets.UTF_8);
    ByteBuffer out = ByteBuffer.allocate(200 + 2 * name.length + context.length);
    out.putInt(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES);
    if (style.isChunked()) {
      int agreed =
          style == HeaderStyle.EXTENDED ? Nbd.OPT_EXTENDED_HEADERS : Nbd.OPT_STRUCTURED_REPLY;
      option(out, agreed, 0);
      option(out, Nbd.OPT_SET_META_CONTEXT, 4 + name.length + 4 + 4 + context.length);
      out.putInt(name.length).put(name).putInt(1).putInt(context.length).put(context);
    }
    option(out, Nbd.OPT_GO, 4 + name.length + 2);
    out.putInt(name.length).put(name).putShort((short) 0);
    byte[] bytes = new byte[out.position()];
    out.get(0, bytes);
    return bytes;
  }

  private static void option(ByteBuffer out, int option, int lengthBytes) {
    out.putLong(Nbd.IHAVEOPT).putInt(option).putInt(lengthBytes);
  }

  /// Takes the greeting or one answer from the input; false when it is not there whole.
  boolean parse(ByteBuffer in) {
    if (!greeted) {
      if (in.remaining() < GREETING_BYTES) {
        return false;
      }
      assertEquals(Nbd.NBDMAGIC, in.getLong());
      assertEquals(Nbd.IHAVEOPT, in.getLong());
      assertEquals(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES, in.getShort());
      greeted = true;
      return true;
    }
    if (in.remaining() < REPLY_HEADER_BYTES) {
      return false;
    }
    int at = in.position();
    int lengthBytes = in.getInt(at + 16);
    if (in.remaining() < REPLY_HEADER_BYTES + lengthBytes) {
      return false;
    }
    assertEquals(Nbd.OPTION_REPLY_MAGIC, in.getLong());
    int option = in.getInt();
    int type = in.getInt();
    in.position(at + REPLY_HEADER_BYTES + lengthBytes);
    if (type < 0) {
      // A snapshot that has been released meanwhile: asked for contexts, then for itself.
      assertEquals(Nbd.REP_ERR_UNKNOWN, type, "answer to option " + option);
      assertTrue(option == Nbd.OPT_SET_META_CONTEXT || option == Nbd.OPT_GO);
    }
    if (option == Nbd.OPT_GO && type != Nbd.REP_INFO) {
      state = type == Nbd.REP_ACK ? State.DONE : State.REFUSED;
    }
    return true;
  }
}
