// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/// What passed over one connection, for the oracles to judge. They know the specification and
/// nothing of the server.
@SuppressWarnings("ArrayRecordComponent") // never compared
record FuzzSession(byte[] sent, byte[] received, Leaving leaving, List<byte[]> disks, Tls tls) {
  static final int STRING_BYTES_MAX = 4096;

  /// Whether the server encrypts for who asks.
  enum Tls {
    NONE,
    OFFERED
  }

  /// How the client left, which decides what it must have got before.
  enum Leaving {
    /// It waited for the server to close: every reply owed must have come.
    POLITE,
    /// Replies may be missing from the end on.
    RUDE
  }

  /// What an oracle throws when the replies end before what it expects.
  static final class RepliesEnd extends RuntimeException {
    private static final long serialVersionUID = 1;

    RepliesEnd(String missing) {
      super(missing, null, false, false);
    }
  }

  /// Fails when the server said something that it must not, or left out what it owes.
  void judge() {
    ByteBuffer from = ByteBuffer.wrap(sent);
    ByteBuffer replies = ByteBuffer.wrap(received);
    try {
      Optional<HandshakeOracle.Agreed> agreed =
          new HandshakeOracle(from, replies, tls).judge(leaving);
      if (agreed.isPresent()) {
        TransmissionOracle oracle = new TransmissionOracle(agreed.get(), from, replies);
        oracle.judge(leaving, disks);
      }
      assertEquals(0, replies.remaining(), () -> "bytes that answer nothing" + this);
    } catch (RepliesEnd end) {
      assertTrue(leaving == Leaving.RUDE, () -> "replies end before: " + end.getMessage() + this);
    }
  }

  /// For whoever replays a seed.
  @Override
  public String toString() {
    return "\nsent " + hex(sent) + "\nreceived " + hex(received);
  }

  private static String hex(byte[] bytes) {
    int shown = Math.min(bytes.length, 2000);
    return bytes.length + " bytes: " + HexFormat.of().formatHex(bytes, 0, shown);
  }

  static void need(ByteBuffer replies, long byteCount, String what) {
    if (replies.remaining() < byteCount) {
      throw new RepliesEnd(what);
    }
  }

  /// A string of the protocol, if it is one.
  static Optional<String> text(ByteBuffer bytes) {
    if (bytes.remaining() > STRING_BYTES_MAX) {
      return Optional.empty();
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes.duplicate()).toString();
      return text.indexOf('\0') < 0 ? Optional.of(text) : Optional.empty();
    } catch (CharacterCodingException e) {
      return Optional.empty();
    }
  }

  static ByteBuffer slice(ByteBuffer from, int byteCount) {
    ByteBuffer slice = from.slice(from.position(), byteCount);
    from.position(from.position() + byteCount);
    return slice;
  }
}
