// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.fleecing.block.BlockNode;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/// A default of [BlockNode] that the hook inherits would hide what the disk below can do.
final class HookForwardingTest {

  @Test
  void hookAnswersEveryMethodOfANodeItself() {
    List<String> inherited =
        Arrays.stream(BlockNode.class.getMethods())
            .filter(method -> !isDeclaredByTheHook(method))
            .map(Method::toString)
            .toList();
    assertEquals(List.of(), inherited);
  }

  private static boolean isDeclaredByTheHook(Method method) {
    return Arrays.stream(FleecingHook.class.getDeclaredMethods())
        .anyMatch(
            own ->
                own.getName().equals(method.getName())
                    && Arrays.equals(own.getParameterTypes(), method.getParameterTypes()));
  }
}
