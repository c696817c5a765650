// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class TeardownTest {
  private final List<String> done = new ArrayList<>();

  @Test
  void stepsRunInReverseOrderWhateverFails() {
    Teardown teardown = new Teardown();
    teardown.add(() -> done.add("first"));
    teardown.add(
        () -> {
          throw new IOException("late");
        });
    teardown.add(() -> done.add("second"));
    teardown.add(
        () -> {
          throw new IOException("early");
        });
    IOException failure = assertThrows(IOException.class, teardown::close);
    assertEquals(List.of("second", "first"), done);
    assertEquals("early", failure.getMessage());
    assertEquals("late", failure.getSuppressed()[0].getMessage());
  }
}
