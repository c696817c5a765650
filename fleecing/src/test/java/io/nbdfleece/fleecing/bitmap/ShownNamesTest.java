// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class ShownNamesTest {
  @Test
  void anOrdinaryNameIsShownAsItIs() {
    assertEquals("nightly backup äöü 🐧", ShownNames.of("nightly backup äöü 🐧"));
    assertEquals("", ShownNames.of(""));
  }

  @Test
  void whatATerminalObeysIsEscaped() {
    assertEquals("a\\u001b[31mb", ShownNames.of("a\u001b[31mb"));
    assertEquals("\\u202etxt.exe", ShownNames.of("\u202etxt.exe"));
    assertEquals("a\\u000ab\\u2028", ShownNames.of("a\nb\u2028"));
    assertEquals("\\ud800", ShownNames.of("\ud800"));
    assertEquals("\\udb40\\udc41", ShownNames.of(Character.toString(0xE0041)));
  }

  @Test
  void aLongNameIsCutBetweenCharacters() {
    assertEquals("🐧".repeat(64), ShownNames.of("🐧".repeat(64)));
    assertEquals("🐧".repeat(64) + "…", ShownNames.of("🐧".repeat(65)));
  }

  @Test
  void aListHasAnEnd() {
    assertEquals("none", ShownNames.list(List.of()));
    assertEquals("a, b", ShownNames.list(List.of("a", "b")));
    assertEquals(
        "n0, n1, n2, n3, n4, n5, n6, n7 and 65528 more",
        ShownNames.list(IntStream.range(0, 65536).mapToObj(i -> "n" + i).toList()));
  }

  @Test
  void aTextKeepsItsLines() {
    assertEquals("a\n\tb", ShownNames.text("a\n\tb"));
    assertEquals("a\n\\u0007b" + "c".repeat(99), ShownNames.text("a\n\u0007b" + "c".repeat(99)));
  }
}
