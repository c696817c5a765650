// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

final class AnonymousMemoryTest {
  private static final int BYTES = 1 << 16;

  @Test
  void whatIsGivenBackReadsAsZeroesAndCanBeUsedAgainAndItsNeighboursStay() {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = arena.allocate(3L * BYTES, BYTES);
      MemorySegment _ = memory.fill((byte) 7);
      ByteBuffer middle = memory.asSlice(BYTES, BYTES).asByteBuffer();
      assertTrue(AnonymousMemory.giveBack(middle.position(17).limit(99)));
      assertEquals(17, middle.position());
      middle.clear();
      for (int i = 0; i < BYTES; i++) {
        assertEquals(0, middle.get(i));
      }
      assertEquals(7, memory.asByteBuffer().get(BYTES - 1));
      assertEquals(7, memory.asByteBuffer().get(2 * BYTES));
      middle.put(5, (byte) 9);
      assertEquals(9, memory.asByteBuffer().get(BYTES + 5));
    }
  }

  @Test
  void mappedMemoryIsZeroesThatTakeNoMemoryBeforeTheyAreTouched() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = AnonymousMemory.map(3L * BYTES, arena);
      assertEquals(0, Pagemap.presentPages(memory));
      memory.asByteBuffer().put(BYTES, (byte) 7);
      AnonymousMemory.populate(memory);
      assertEquals(3 * BYTES / Pagemap.PAGE_BYTES, Pagemap.presentPages(memory));
      assertEquals(7, memory.asByteBuffer().get(BYTES));
      assertEquals(0, memory.asByteBuffer().get(BYTES + 1));
      assertTrue(AnonymousMemory.giveBack(memory.asSlice(0, 2L * BYTES)));
      assertEquals(BYTES / Pagemap.PAGE_BYTES, Pagemap.presentPages(memory));
    }
  }

  /// The system would take the neighbour, too.
  @Test
  void aPartOfAPageIsNotGivenBack() {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = AnonymousMemory.map(BYTES, arena).fill((byte) 7);
      assertFalse(AnonymousMemory.giveBack(memory.asSlice(0, 1024)));
      assertFalse(AnonymousMemory.giveBack(memory.asSlice(1024, 4096)));
      for (int i = 0; i < BYTES; i++) {
        assertEquals(7, memory.get(ValueLayout.JAVA_BYTE, i));
      }
    }
  }

  @Test
  void systemThatHasNoMoreMemoryIsNamed() {
    try (Arena arena = Arena.ofShared()) {
      String text =
          assertThrows(OutOfMemoryError.class, () -> AnonymousMemory.map(1L << 60, arena))
              .toString();
      assertTrue(text.contains("1152921504606846976 bytes: "), text);
    }
  }
}
