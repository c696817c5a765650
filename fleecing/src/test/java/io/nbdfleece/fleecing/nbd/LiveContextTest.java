// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.DirtyBits;
import io.nbdfleece.fleecing.bitmap.FailingBits;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/// The status of a bitmap that records.
final class LiveContextTest {
  private static final long SIZE = 16L << 40;
  private static final int GRANULE = 64 << 10;

  /// Bits that are looked at within a range only.
  private record Within(DirtyBits bits, long startBytes, long limitBytes) implements DirtyBits {
    private void check(long offsetBytes, long endBytes) {
      assertTrue(
          startBytes <= offsetBytes && offsetBytes < endBytes && endBytes <= limitBytes,
          () -> "looked at " + offsetBytes + " to " + endBytes);
    }

    @Override
    public int granularityBytes() {
      return bits.granularityBytes();
    }

    @Override
    public long nextDirty(long offsetBytes, long endBytes) {
      check(offsetBytes, endBytes);
      return bits.nextDirty(offsetBytes, endBytes);
    }

    @Override
    public long nextClean(long offsetBytes, long endBytes) {
      check(offsetBytes, endBytes);
      return bits.nextClean(offsetBytes, endBytes);
    }

    @Override
    public long lookBytesMax() {
      return bits.lookBytesMax();
    }
  }

  private static List<Extent> ask(DirtyBits bits, long offsetBytes, long lengthBytes) {
    return ShownContexts.dirty(bits, offsetBytes, lengthBytes, 100);
  }

  @Test
  void onlyTheRangeThatIsAskedForIsLookedAt() {
    HeapBitArray bits = new HeapBitArray(SIZE, GRANULE);
    bits.mark(0, SIZE);
    HeapBitArray sparse = new HeapBitArray(SIZE, GRANULE);
    sparse.mark((8L << 40) + 3 * GRANULE, 1);
    long start = 8L << 40;
    int length = 1 << 20;
    assertEquals(
        List.of(new Extent(length, 1)),
        ask(new Within(bits, start, start + length), start, length));
    assertEquals(
        List.of(
            new Extent(3 * GRANULE, 0),
            new Extent(GRANULE, 1),
            new Extent(length - 4 * GRANULE, 0)),
        ask(new Within(sparse, start, start + length), start, length));
  }

  @Test
  void anAnswerHasNoMoreExtentsThanThatOfTheDiskBesideIt() {
    HeapBitArray bits = new HeapBitArray(SIZE, GRANULE);
    int markedCount = BlockNode.EXTENTS_PER_ANSWER_MAX;
    for (long index = 0; index < markedCount; index++) {
      bits.mark(2 * index * GRANULE, 1);
    }
    List<Extent> found = ShownContexts.dirty(bits, 0, SIZE, 1 << 20);
    assertEquals(BlockNode.EXTENTS_PER_ANSWER_MAX, found.size());
  }

  @Test
  void aQuestionAboutAllIsAnsweredInPart() {
    HeapBitArray bits = new HeapBitArray(SIZE, GRANULE);
    bits.mark(SIZE - 1, 1);
    long limit = bits.lookBytesMax();
    assertEquals(List.of(new Extent(limit, 0)), ask(new Within(bits, 0, limit), 0, SIZE));
  }

  /// On its own thread nobody else would hear of it, and the client would wait for ever.
  @Test
  void bitsWhoseMemoryFailsAreAnsweredWithAnError() {
    FailingBits bits = new FailingBits(SIZE, GRANULE);
    bits.becomeUnreadable();
    String context = ShownContexts.DIRTY_BITMAP + "x";
    CompletableFuture<List<ContextExtents>> end = new CompletableFuture<>();
    ContextAnswers answers =
        new ContextAnswers(
            List.of(context),
            new StatusCompletion() {
              @Override
              public void succeeded(List<ContextExtents> extents) {
                end.complete(extents);
              }

              @Override
              public void failed(IOException error) {
                end.completeExceptionally(error);
              }
            });
    new ShownContexts(List.of(new ShownContexts.Bitmap("x", () -> bits, true)), false)
        .answer(answers, 0, SIZE, 100, () -> answers.succeeded(List.of()));
    ExecutionException error =
        assertThrows(ExecutionException.class, () -> end.get(20, TimeUnit.SECONDS));
    assertInstanceOf(IOException.class, error.getCause());
  }

  /// A bit that is set between two looks makes one stretch two, and no stretch empty.
  @Test
  void bitSetMeanwhileShowsOrNot() {
    HeapBitArray bits = new HeapBitArray(SIZE, GRANULE);
    bits.mark(0, GRANULE);
    DirtyBits growing =
        new DirtyBits() {
          @Override
          public int granularityBytes() {
            return GRANULE;
          }

          @Override
          public long nextDirty(long offsetBytes, long endBytes) {
            return bits.nextDirty(offsetBytes, endBytes);
          }

          @Override
          public long nextClean(long offsetBytes, long endBytes) {
            long next = bits.nextClean(offsetBytes, endBytes);
            bits.mark(next, 1);
            return next;
          }

          @Override
          public long lookBytesMax() {
            return SIZE;
          }
        };
    assertEquals(
        List.of(new Extent(GRANULE, 1), new Extent(GRANULE, 1)), ask(growing, 0, 2L * GRANULE));
  }
}
