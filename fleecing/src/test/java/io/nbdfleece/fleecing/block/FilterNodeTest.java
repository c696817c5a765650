// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.FileSender;
import io.nbdfleece.fleecing.bitmap.TrackingNode;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/// A default of [BlockNode] that a filter inherits would hide what the disk below can do.
final class FilterNodeTest {

  /// Says nothing that it need not.
  private record Plain(BlockNode child) implements FilterNode {
    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      child.read(offsetBytes, target, done);
    }

    @Override
    public void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
      child.read(offsetBytes, targets, done);
    }

    @Override
    public Optional<FileSender> sender(long offsetBytes, int lengthBytes) {
      return child.sender(offsetBytes, lengthBytes);
    }

    @Override
    public void apply(Mutation mutation, Completion done) {
      child.apply(mutation, done);
    }
  }

  @Test
  void whatAFilterDoesNotSayItsChildAnswers() throws Exception {
    for (Method method : BlockNode.class.getMethods()) {
      List<String> reached = new ArrayList<>();
      BlockNode child =
          (BlockNode)
              Proxy.newProxyInstance(
                  BlockNode.class.getClassLoader(),
                  new Class<?>[] {BlockNode.class},
                  (_, called, _) -> {
                    reached.add(called.toString());
                    return answer(called.getReturnType());
                  });
      Object[] arguments =
          Arrays.stream(method.getParameterTypes()).map(FilterNodeTest::argument).toArray();
      Object answered = method.invoke(new Plain(child), arguments);
      assertEquals(List.of(method.toString()), reached);
      if (method.getReturnType() != void.class) {
        assertEquals(answer(method.getReturnType()), answered);
      }
    }
  }

  @Test
  void readsAndChangesEachFilterHasToSayItself() throws Exception {
    for (String name : List.of("read", "sender", "apply")) {
      for (Method declared : FilterNode.class.getMethods()) {
        if (declared.getName().equals(name)) {
          assertTrue(Modifier.isAbstract(declared.getModifiers()), declared.toString());
        }
      }
    }
  }

  /// All disks of the engine have one: preserving neighbours at once passes it.
  @Test
  void severalBuffersAreReadAtOnceThroughTheNodeThatTracksChanges() throws Exception {
    List<String> reached = new ArrayList<>();
    BlockNode child =
        (BlockNode)
            Proxy.newProxyInstance(
                BlockNode.class.getClassLoader(),
                new Class<?>[] {BlockNode.class},
                (_, called, arguments) -> {
                  reached.add(called + (arguments == null ? "" : " " + List.of(arguments[0])));
                  return answer(called.getReturnType());
                });
    List<ByteBuffer> targets = List.of(ByteBuffer.allocateDirect(5), ByteBuffer.allocateDirect(6));
    new TrackingNode(child).read(1000, targets, (Completion) argument(Completion.class));
    Method several = BlockNode.class.getMethod("read", long.class, List.class, Completion.class);
    assertEquals(several + " [1000]", reached.getLast());
  }

  @Test
  void aChildThatCannotBeClosedIsTold() {
    Plain filter = new Plain(new Plain(unclosable()));
    assertThrows(IOException.class, filter::close);
  }

  private static BlockNode unclosable() {
    return (BlockNode)
        Proxy.newProxyInstance(
            BlockNode.class.getClassLoader(),
            new Class<?>[] {BlockNode.class},
            (_, _, _) -> {
              throw new IOException("cannot be closed");
            });
  }

  private static Object argument(Class<?> type) {
    if (type == long.class) {
      return 4096L;
    }
    if (type == int.class) {
      return 7;
    }
    if (type == List.class) {
      return List.of("c");
    }
    if (type == ByteBuffer.class) {
      return ByteBuffer.allocateDirect(1);
    }
    return type == Mutation.class
        ? new Mutation.Discard(0, 512, Mutation.Durability.CACHED)
        : Proxy.newProxyInstance(
            type.getClassLoader(), new Class<?>[] {type}, (_, called, _) -> called.getName());
  }

  private static Object answer(Class<?> type) {
    if (type == long.class) {
      return 1L << 40;
    }
    if (type == int.class) {
      return 4096;
    }
    if (type == Set.class) {
      return Set.of(NodeAbility.FLUSH);
    }
    if (type == Optional.class) {
      return Optional.empty();
    }
    return type == List.class ? List.of("a", "b") : "";
  }
}
