// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;

/// Strings that a server sent (NBD specification, "String values").
final class ServerText {
  private ServerText() {}

  /// A text for people. Control characters become `?`, so that a server cannot forge lines of a log
  /// or move the cursor of a terminal; bytes that are not UTF-8 become U+FFFD.
  static String forPeople(byte[] bytes) {
    String text = new String(bytes, UTF_8);
    StringBuilder clean = new StringBuilder(text.length());
    text.codePoints()
        .map(c -> Character.isISOControl(c) || c == 0x2028 || c == 0x2029 ? '?' : c)
        .forEach(clean::appendCodePoint);
    return clean.toString();
  }

  /// A name, which must come back to the server byte by byte, hence must be what the specification
  /// allows.
  static String name(String what, byte[] bytes) throws ProtocolViolationException {
    if (bytes.length > Nbd.STRING_BYTES_MAX) {
      throw new ProtocolViolationException(
          what + " of " + bytes.length + " bytes (expected: <= " + Nbd.STRING_BYTES_MAX + ")");
    }
    try {
      String name = UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      if (name.indexOf('\0') < 0) {
        return name;
      }
    } catch (CharacterCodingException e) {
      throw new ProtocolViolationException(what + " that is not UTF-8: " + forPeople(bytes));
    }
    throw new ProtocolViolationException(what + " with a NUL: " + forPeople(bytes));
  }
}
