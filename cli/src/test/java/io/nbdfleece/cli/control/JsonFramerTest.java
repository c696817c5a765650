// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class JsonFramerTest {
  private static final QmpLimits LIMITS = new QmpLimits(64, 4, 1);

  @Test
  void objectsBackToBackAreCutWhereverTheStreamIsCut() throws Exception {
    String stream = " {\"a\":\"}\\\"{\"}{'b':[1,{}]}\r\n[2] ";
    List<String> expected = List.of("{\"a\":\"}\\\"{\"}", "{'b':[1,{}]}", "[2]");
    byte[] bytes = stream.getBytes(UTF_8);
    for (int cut = 0; cut <= bytes.length; cut++) {
      JsonFramer framer = new JsonFramer(LIMITS);
      List<String> messages = new ArrayList<>();
      feed(framer, ByteBuffer.wrap(bytes, 0, cut), messages);
      feed(framer, ByteBuffer.wrap(bytes, cut, bytes.length - cut), messages);
      assertEquals(expected, messages, "cut at " + cut);
    }
  }

  @Test
  void garbageEndsWithItsLine() throws Exception {
    List<String> messages = new ArrayList<>();
    feed(new JsonFramer(LIMITS), ByteBuffer.wrap("hello {\n{}".getBytes(UTF_8)), messages);
    assertEquals(List.of("hello {\n", "{}"), messages);
  }

  @Test
  void aMessageOfTheLimitPassesAndOneByteMoreDoesNot() throws Exception {
    List<String> messages = new ArrayList<>();
    String largest = "{" + " ".repeat(62) + "}";
    feed(new JsonFramer(LIMITS), ByteBuffer.wrap(largest.getBytes(UTF_8)), messages);
    assertEquals(List.of(largest), messages);
    assertThrows(
        LimitPassed.class,
        () ->
            new JsonFramer(LIMITS)
                .feed(ByteBuffer.wrap(("{" + " ".repeat(63) + "}").getBytes(UTF_8))));
  }

  @Test
  void tooDeepNestingIsRefused() {
    assertThrows(
        LimitPassed.class,
        () -> new JsonFramer(LIMITS).feed(ByteBuffer.wrap("[[[[[".getBytes(UTF_8))));
  }

  private static void feed(JsonFramer framer, ByteBuffer data, List<String> messages)
      throws LimitPassed {
    framer.feed(data).forEach(message -> messages.add(new String(message, UTF_8)));
  }
}
