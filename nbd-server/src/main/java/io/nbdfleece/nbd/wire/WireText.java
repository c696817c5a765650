// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/// Strings of the protocol: UTF-8, no NUL, at most [Nbd#STRING_BYTES_MAX] bytes (NBD specification,
/// "Values": strings). Thread-safe.
public final class WireText {
  private static final int SHOWN_CHARS_MAX = 256;

  private WireText() {}

  /// Reads `lengthBytes` bytes of `in` as a string; empty when they are not a valid string. The
  /// bytes are consumed either way. The caller has checked that they are there.
  public static Optional<String> read(ByteBuf in, int lengthBytes) {
    byte[] bytes = new byte[lengthBytes];
    in.readBytes(bytes);
    if (lengthBytes > Nbd.STRING_BYTES_MAX) {
      return Optional.empty();
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.indexOf('\0') < 0 ? Optional.of(text) : Optional.empty();
    } catch (CharacterCodingException notUtf8) {
      return Optional.empty();
    }
  }

  /// The UTF-8 of `text`, cut before the character that would exceed [Nbd#STRING_BYTES_MAX] bytes.
  /// Unpaired surrogates and NUL become `?`.
  public static byte[] bytes(String text) {
    byte[] bytes = new byte[(int) Math.min(Nbd.STRING_BYTES_MAX, text.length() * 3L)];
    ByteBuffer out = ByteBuffer.wrap(bytes);
    CharsetEncoder encoder =
        StandardCharsets.UTF_8
            .newEncoder()
            .onMalformedInput(java.nio.charset.CodingErrorAction.REPLACE)
            .onUnmappableCharacter(java.nio.charset.CodingErrorAction.REPLACE);
    // An overflow is the cut that is wanted: the encoder never writes half a character.
    boolean cut = encoder.encode(CharBuffer.wrap(text.replace('\0', '?')), out, true).isOverflow();
    assert cut || out.position() <= bytes.length;
    return Arrays.copyOf(bytes, out.position());
  }

  /// A name that came from a peer, in quotes, for a log line or a message: control characters,
  /// quotes and backslashes escaped, shortened to 256 characters.
  public static String quoted(String fromPeer) {
    StringBuilder shown = new StringBuilder(fromPeer.length() + 2).append('"');
    int end = Math.min(fromPeer.length(), SHOWN_CHARS_MAX);
    for (int index = 0; index < end; index++) {
      char c = fromPeer.charAt(index);
      if (c == '"' || c == '\\') {
        shown.append('\\').append(c);
      } else if (isPlain(c)) {
        shown.append(c);
      } else {
        shown.append(String.format("\\u%04x", (int) c));
      }
    }
    return shown.append(end < fromPeer.length() ? "…\"" : "\"").toString();
  }

  private static boolean isPlain(char c) {
    return switch (Character.getType(c)) {
      // FORMAT holds the direction overrides that make a log line read backwards.
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.UNASSIGNED ->
          false;
      default -> true;
    };
  }
}
