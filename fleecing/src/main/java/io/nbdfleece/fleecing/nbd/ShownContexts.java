// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.bitmap.DirtyBits;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.nbd.Extent;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/// Metadata contexts that an export shows beyond `base:allocation` and what the disk itself knows.
///
/// @param bitmaps as `qemu:dirty-bitmap:NAME`
/// @param allocationDepth whether `qemu:allocation-depth` is shown
record ShownContexts(List<Bitmap> bitmaps, boolean allocationDepth) {
  static final ShownContexts NONE = new ShownContexts(List.of(), false);

  /// NAME follows. One status bit, 0: dirty.
  static final String DIRTY_BITMAP = "qemu:dirty-bitmap:";

  /// How deep in a chain of images the data is: 1, in the only one, or 0, nowhere. A hole counts as
  /// allocated, as in QEMU's raw images.
  static final String ALLOCATION_DEPTH = "qemu:allocation-depth";

  private static final int DIRTY = 1;

  ShownContexts {
    bitmaps = List.copyOf(bitmaps);
  }

  /// Their names.
  List<String> names() {
    List<String> names = new ArrayList<>();
    bitmaps.forEach(bitmap -> names.add(DIRTY_BITMAP + bitmap.name()));
    if (allocationDepth) {
      names.add(ALLOCATION_DEPTH);
    }
    return names;
  }

  /// The bitmap that a context is about, if it is about one of these.
  Optional<Bitmap> bitmap(String context) {
    return context.startsWith(DIRTY_BITMAP)
        ? bitmaps.stream()
            .filter(bitmap -> context.substring(DIRTY_BITMAP.length()).equals(bitmap.name()))
            .findFirst()
        : Optional.empty();
  }

  /// A bitmap that is shown.
  ///
  /// @param content what is dirty now
  /// @param changes whether finding that out takes a while
  record Bitmap(String name, Supplier<? extends DirtyBits> content, boolean changes) {}

  /// Puts what is asked of the bitmaps into `answers` and then goes on: inside the call, or later
  /// on another thread when it takes a while. A bitmap that cannot be looked at fails all of it.
  void answer(
      ContextAnswers answers, long offsetBytes, long lengthBytes, int extentsMax, Runnable next) {
    List<Bitmap> wanted =
        bitmaps.stream().filter(bitmap -> answers.wants(DIRTY_BITMAP + bitmap.name())).toList();
    Runnable look =
        () -> {
          try {
            for (Bitmap bitmap : wanted) {
              answers.put(
                  DIRTY_BITMAP + bitmap.name(),
                  dirty(bitmap.content().get(), offsetBytes, lengthBytes, extentsMax));
            }
            next.run();
          } catch (RuntimeException | Error e) { // of mapped memory, for one; nobody else hears it
            answers.failed(new IOException("block status: " + e, e));
          }
        };
    if (wanted.stream().anyMatch(Bitmap::changes)) {
      // An event loop must not walk the bits of a large disk.
      Thread _ = Thread.ofVirtual().name("nbdfleece-bitmap-status").start(look);
    } else {
      look.run();
    }
  }

  /// What is dirty in a range that is not empty, to the granule: as much of it as one should look
  /// at in one go. Bits that are set meanwhile may show or not.
  static List<Extent> dirty(DirtyBits bits, long offsetBytes, long lengthBytes, int extentsMax) {
    List<Extent> extents = new ArrayList<>();
    long endBytes = offsetBytes + Math.min(lengthBytes, bits.lookBytesMax());
    int countMax = Math.min(extentsMax, BlockNode.EXTENTS_PER_ANSWER_MAX);
    long position = offsetBytes;
    while (position < endBytes && extents.size() < countMax) {
      long dirty = bits.nextDirty(position, endBytes);
      if (dirty > position) {
        extents.add(new Extent(dirty - position, 0));
        position = dirty;
      } else {
        long clean = bits.nextClean(position, endBytes);
        extents.add(new Extent(clean - position, DIRTY));
        position = clean;
      }
    }
    return extents;
  }
}
