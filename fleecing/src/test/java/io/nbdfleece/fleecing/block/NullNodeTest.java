// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

final class NullNodeTest {
  private static final int LENGTH_BYTES = 200_000;

  private final FakeTimer timer = new FakeTimer();
  private final List<String> outcomes = new ArrayList<>();
  private final Completion done =
      new Completion() {
        @Override
        public void succeeded() {
          outcomes.add("ok");
        }

        @Override
        public void failed(IOException error) {
          outcomes.add(error.getMessage());
        }
      };

  @Test
  void readsZeroesWhateverTheBufferHeld() {
    ByteBuffer target = ByteBuffer.allocateDirect(LENGTH_BYTES);
    for (int i = 0; i < LENGTH_BYTES; i++) {
      target.put(i, (byte) 7);
    }
    new NullNode(1 << 20, NullNode.Content.UNKNOWN, 0, timer).read(0, target, done);
    byte[] read = new byte[LENGTH_BYTES];
    target.get(0, read);
    assertTrue(Arrays.equals(new byte[LENGTH_BYTES], read));
    assertFalse(target.hasRemaining());
    assertEquals(List.of("ok"), outcomes);
  }

  @Test
  void latencyHoldsEachRequestUp() {
    NullNode node = new NullNode(1 << 20, NullNode.Content.ZEROES, 1000, timer);
    node.flush(done);
    assertTrue(outcomes.isEmpty());
    timer.pass(999);
    assertTrue(outcomes.isEmpty());
    timer.pass(1);
    assertEquals(List.of("ok"), outcomes);
  }

  @Test
  void saysThatItIsZeroesOnlyWhenAskedTo() {
    assertEquals(BlockExtent.State.ZERO, state(NullNode.Content.ZEROES));
    assertEquals(BlockExtent.State.DATA, state(NullNode.Content.UNKNOWN));
  }

  private BlockExtent.State state(NullNode.Content content) {
    List<BlockExtent> seen = new ArrayList<>();
    new NullNode(1 << 20, content, 0, timer)
        .status(
            0,
            1 << 20,
            8,
            new ExtentsCompletion() {
              @Override
              public void succeeded(List<BlockExtent> extents) {
                seen.addAll(extents);
              }

              @Override
              public void failed(IOException error) {
                outcomes.add(error.getMessage());
              }
            });
    assertEquals(1, seen.size());
    return seen.getFirst().state();
  }
}
