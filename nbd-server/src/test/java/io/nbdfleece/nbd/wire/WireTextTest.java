// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class WireTextTest {
  private static Optional<String> read(byte... bytes) {
    return WireText.read(Unpooled.wrappedBuffer(bytes), bytes.length);
  }

  @Test
  void stringsOfTheProtocolAreUtf8WithoutNul() {
    assertEquals(Optional.of("ä"), read("ä".getBytes(StandardCharsets.UTF_8)));
    assertEquals(Optional.empty(), read((byte) 'a', (byte) 0));
    assertEquals(Optional.empty(), read((byte) 0xc3));
    assertEquals(Optional.empty(), read(new byte[4097]));
  }

  @Test
  void longTextIsCutBetweenCharacters() {
    assertEquals(4096, WireText.bytes("x".repeat(9000)).length);
    assertEquals(4095, WireText.bytes("€".repeat(9000)).length);
    assertEquals(4096, WireText.bytes("\ud83d\ude00".repeat(2000)).length);
    assertEquals("a?b", new String(WireText.bytes("a\0b"), StandardCharsets.UTF_8));
  }

  @Test
  void namesFromPeersAreEscapedAndShortened() {
    assertEquals("\"a\\\"\\\\\\u0007\\u001b\"", WireText.quoted("a\"\\\u0007\u001b"));
    assertEquals(256 + 3, WireText.quoted("x".repeat(5000)).length());
  }
}
