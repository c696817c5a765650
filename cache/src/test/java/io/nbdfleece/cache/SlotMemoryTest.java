// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.nbdfleece.cache.posix.AnonymousMemory;
import io.nbdfleece.cache.posix.Pagemap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class SlotMemoryTest {
  private static final int SLOT = 1 << 16;
  private static final int PIECE = 8 << 20;

  private final AtomicInteger calls = new AtomicInteger();
  private final SlotMemory memory = new SlotMemory(SLOT, 2 * PIECE + SLOT, calls::incrementAndGet);

  @AfterEach
  void close() {
    memory.close();
  }

  private MemorySegment touchNext() {
    MemorySegment next = memory.nextUntouched();
    assertNotNull(next);
    AnonymousMemory.populate(next);
    return next;
  }

  @Test
  void nextPieceIsTouchedBeforeTheOneThatIsCutIsUsedUp() throws IOException {
    assertNull(memory.nextUntouched());
    memory.prepare();
    memory.prepare();
    assertEquals(1, calls.get());
    assertEquals(PIECE, touchNext().byteSize());
    assertNull(memory.nextUntouched());
    MemorySegment first = memory.cut(10);
    assertEquals(10 * SLOT, first.byteSize());
    assertEquals(10 * SLOT / Pagemap.PAGE_BYTES, Pagemap.presentPages(first));
    assertEquals(2, calls.get());
    assertEquals(PIECE, touchNext().byteSize());
    assertEquals(PIECE - 10 * SLOT, memory.cut(1000).byteSize());
    assertNull(memory.nextUntouched());
    assertEquals(SLOT / Pagemap.PAGE_BYTES, Pagemap.presentPages(memory.cut(1)));
    assertEquals(SLOT, touchNext().byteSize());
    assertEquals(PIECE - SLOT, memory.cut(1000).byteSize());
    assertEquals(SLOT, memory.cut(1000).byteSize());
    assertNull(memory.nextUntouched());
    assertEquals(SLOT, memory.cut(2).byteSize()); // in place of one that is on its way to rest
    assertNull(memory.nextUntouched());
  }

  @Test
  void whatNobodyTouchedAheadCanBeUsedAllTheSame() throws IOException {
    MemorySegment slots = memory.cut(2);
    assertEquals(0, Pagemap.presentPages(slots));
    slots.asByteBuffer().putLong(SLOT, -1);
    assertEquals(PIECE, touchNext().byteSize());
    assertEquals(2 * SLOT / Pagemap.PAGE_BYTES, Pagemap.presentPages(slots));
    assertEquals(-1, slots.asByteBuffer().getLong(SLOT));
  }

  @Test
  void whatIsTooMuchAfterAResizeTakesNoMemoryUntilItIsCut() throws IOException {
    MemorySegment used = memory.cut(1);
    MemorySegment current = touchNext();
    MemorySegment ahead = touchNext();
    used.asByteBuffer().putLong(0, -1);
    memory.resize(4 * SLOT);
    assertEquals(SLOT / Pagemap.PAGE_BYTES, Pagemap.presentPages(current));
    assertEquals(0, Pagemap.presentPages(ahead));
    assertEquals(-1, used.asByteBuffer().getLong(0));
    memory.resize(4 * PIECE);
    assertNull(memory.nextUntouched());
    assertEquals(PIECE - SLOT, memory.cut(1000).byteSize());
    assertEquals(PIECE, memory.cut(1000).byteSize());
    assertEquals(PIECE, touchNext().byteSize());
  }
}
