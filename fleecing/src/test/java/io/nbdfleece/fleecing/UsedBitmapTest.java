// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.FailingBits;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/// What an export shows of a bitmap.
final class UsedBitmapTest {
  private static final int SIZE = 1 << 20;
  private static final int GRANULE = 64 << 10;

  /// Else an incremental backup would lack what is written from then on.
  @Test
  void recordingBitmapWhoseMemoryFailsInUseShowsNothingAnyMore() throws Exception {
    FailingBits bits = new FailingBits(SIZE, GRANULE);
    TrackedBitmap recording =
        new TrackedBitmap(
            "x",
            GRANULE,
            new BitmapContent.Live(bits, Optional.of("file")),
            true,
            Optional.empty(),
            Instant.EPOCH);
    DiskTracking disk =
        new DiskTracking(
            _ -> {},
            DiskBitmaps.of("vda", SIZE, List.of(recording)),
            Optional.empty(),
            "nothing is kept",
            false);
    DiskUsers holder = new DiskUsers();
    holder.held();
    try (BitmapUse use = disk.takeIntoUse("x", holder)) {
      assertSame(bits, use.current());
      bits.failed();
      UncheckedIOException refusal = assertThrows(UncheckedIOException.class, use::current);
      assertEquals(
          BitmapException.Reason.INCONSISTENT,
          assertInstanceOf(BitmapException.class, refusal.getCause()).reason());
    }
  }
}
