// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A file of pre-shared keys as `psktool` writes it: lines of `user:hex`. Empty lines, and lines
/// that begin with `#` and hold no colon, mean nothing. Failures name the file and the line, never
/// the key.
final class PskFile {
  private static final long FILE_BYTES_MAX = 16 << 20;

  /// 128 bits. Shorter ones can be guessed by who has watched one handshake.
  private static final int KEY_BYTES_MIN = 16;

  private static final int KEY_BYTES_MAX = 1024;
  private static final int USER_BYTES_MAX = 1024;

  private final Map<ByteBuffer, byte[]> keys = new HashMap<>();

  private PskFile() {}

  static PskFile read(Path file) throws IOException {
    List<String> lines;
    try {
      if (Files.size(file) > FILE_BYTES_MAX) {
        throw new IOException(file + ": longer than " + (FILE_BYTES_MAX >> 20) + " MiB");
      }
      lines = Files.readAllLines(file, StandardCharsets.UTF_8);
    } catch (NoSuchFileException e) {
      throw new IOException(file + ": there is no such file; psktool makes one", e);
    } catch (IOException e) {
      throw new IOException(file + ": cannot be read: " + e.getMessage(), e);
    }
    PskFile keys = new PskFile();
    for (int index = 0; index < lines.size(); index++) {
      try {
        keys.add(lines.get(index).strip());
      } catch (IllegalArgumentException e) {
        throw new IOException(file + ": line " + (index + 1) + ": " + e.getMessage(), e);
      }
    }
    if (keys.keys.isEmpty()) {
      throw new IOException(file + ": holds no key (expected: lines of user:hex)");
    }
    return keys;
  }

  private void add(String line) {
    int colon = line.lastIndexOf(':');
    if (line.isEmpty() || (colon < 0 && line.startsWith("#"))) {
      return;
    }
    if (colon <= 0) {
      throw new IllegalArgumentException("is not of the form user:hex");
    }
    byte[] user = line.substring(0, colon).getBytes(StandardCharsets.UTF_8);
    byte[] key;
    try {
      key = HexFormat.of().parseHex(line.substring(colon + 1));
    } catch (IllegalArgumentException e) {
      // Without the cause, whose message shows a part of the key.
      throw new IllegalArgumentException("the key is not hexadecimal");
    }
    if (user.length > USER_BYTES_MAX) {
      throw new IllegalArgumentException("the user has more than " + USER_BYTES_MAX + " bytes");
    }
    if (key.length < KEY_BYTES_MIN || key.length > KEY_BYTES_MAX) {
      throw new IllegalArgumentException(
          "the key has "
              + key.length
              + " bytes (expected: "
              + KEY_BYTES_MIN
              + " to "
              + KEY_BYTES_MAX
              + ")");
    }
    if (keys.put(ByteBuffer.wrap(user), key) != null) {
      throw new IllegalArgumentException("the user has a key already");
    }
  }

  /// The key of a user; a copy, since who uses a key may wipe it.
  Optional<byte[]> key(byte[] user) {
    return Optional.ofNullable(keys.get(ByteBuffer.wrap(user))).map(byte[]::clone);
  }
}
