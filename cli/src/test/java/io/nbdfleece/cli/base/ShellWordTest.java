// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class ShellWordTest {

  @Test
  void plainWordsStayPlain() {
    assertEquals("qemu:dirty-bitmap:c1", ShellWord.of("qemu:dirty-bitmap:c1"));
    assertEquals("vda@nightly-2.img", ShellWord.of("vda@nightly-2.img"));
  }

  @Test
  void whatAShellLooksAtIsQuoted() {
    assertEquals("'a b'", ShellWord.of("a b"));
    assertEquals("'it'\\''s'", ShellWord.of("it's"));
    assertEquals("''", ShellWord.of(""));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"a b", "$(touch x)", "`id`", "it's", "\"", "a\\b", "*", "~", "a;b", "ü", ""})
  void aShellMakesTheSameWordOfIt(String text) throws IOException, InterruptedException {
    Process shell =
        new ProcessBuilder("sh", "-c", "printf %s " + ShellWord.of(text))
            .redirectErrorStream(true)
            .start();
    shell.getOutputStream().close();
    assertEquals(text, new String(shell.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
    assertEquals(0, shell.waitFor());
  }
}
