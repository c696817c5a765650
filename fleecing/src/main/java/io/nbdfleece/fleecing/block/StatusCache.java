// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.fleecing.block.BlockExtent.State;
import java.lang.invoke.VarHandle;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// The last few extents that the file system has told of a file. Who asks for the status of a large
/// extent piece by piece, as clients do, is answered from here, and the file system, which may have
/// to read its own metadata first, is asked once.
///
/// **Threads.** Any thread may call anything at any time. Nothing waits, there is no lock.
final class StatusCache {
  /* A hole that is none any more would be zeroes in somebody's backup. So there is one order in
   * which things are done on either side:
   *
   *   who asks:      asks(start) ─▶ the file system ─▶ found(end, state)
   *   who changes:   the file ─▶ changed(range) ─▶ tells that the change is done
   *
   * - **A1** once changed(range) has returned, nothing is known of the range that was found out
   *   before the change.
   *
   * An extent found before is there already when `changed` looks, and is cut. Of one that is just
   * being found out, the question is there: it is cut as well, and what comes of it is no longer
   * than that. If not even the question is there, it is asked after the change, and answered with
   * it. So a change that somebody was told of is never missing; one that is under way may be, as
   * ever when two do things at the same time.
   *
   * What changes a file without being told here (another program, in spite of the lock) shows
   * after [#KEPT_NANOS]. Who has a lock that lets others write tells only of data here.
   */

  /// Several clients at different places, and each of them with several connections.
  static final int EXTENTS_MAX = 4;

  /// How long an extent is believed.
  static final long KEPT_NANOS = 1_000_000_000;

  private final LongSupplier nanoClock;
  private final AtomicReferenceArray<@Nullable Known> extents =
      new AtomicReferenceArray<>(EXTENTS_MAX);
  private final AtomicInteger walks = new AtomicInteger();

  /// @param nanoClock like [System#nanoTime]
  StatusCache(LongSupplier nanoClock) {
    this.nanoClock = nanoClock;
  }

  /// What is known of a stretch.
  ///
  /// @param state null as long as it is being found out
  /// @param askedBy tells questions apart
  private record Known(
      long startBytes, long endBytes, @Nullable State state, Walk askedBy, long sinceNanos) {

    boolean overlaps(long otherStartBytes, long otherEndBytes) {
      return startBytes < otherEndBytes && otherStartBytes < endBytes;
    }

    /// What is left of one that overlaps: what lies before, or else what lies behind. A question is
    /// about its beginning; without that nothing is left of it.
    @Nullable Known without(long otherStartBytes, long otherEndBytes) {
      if (startBytes < otherStartBytes) {
        return new Known(startBytes, otherStartBytes, state, askedBy, sinceNanos);
      }
      return state != null && otherEndBytes < endBytes
          ? new Known(otherEndBytes, endBytes, state, askedBy, sinceNanos)
          : null;
    }
  }

  /// The state of the bytes from `offsetBytes` on, up to `lengthBytes` of them.
  Optional<BlockExtent> at(long offsetBytes, long lengthBytes) {
    for (int i = 0; i < EXTENTS_MAX; i++) {
      Known known = extents.get(i);
      if (known != null
          && known.state != null
          && known.startBytes <= offsetBytes
          && offsetBytes < known.endBytes
          && nanoClock.getAsLong() - known.sinceNanos < KEPT_NANOS) {
        long knownBytes = known.endBytes - offsetBytes;
        return Optional.of(new BlockExtent(Math.min(knownBytes, lengthBytes), known.state));
      }
    }
    return Optional.empty();
  }

  /// The file has changed there, or may have; nobody has been told yet that it is done.
  void changed(long startBytes, long endBytes) {
    VarHandle.fullFence(); // looks only after the file has changed
    for (int i = 0; i < EXTENTS_MAX; i++) {
      Known known = extents.get(i);
      while (known != null && known.overlaps(startBytes, endBytes)) {
        if (extents.compareAndSet(i, known, known.without(startBytes, endBytes))) {
          break;
        }
        known = extents.get(i);
      }
    }
  }

  /// Somebody is going to ask the file system for one extent after the other. The last one found is
  /// remembered: that is where the client asks next.
  Walk walk() {
    return new Walk(Math.floorMod(walks.getAndIncrement(), EXTENTS_MAX));
  }

  /// Used by one thread.
  final class Walk {
    private final int index;
    private long startBytes;
    private long sinceNanos;

    private Walk(int index) {
      this.index = index;
    }

    /// The file system is going to be asked what is at `startBytes`.
    void asks(long startBytes) {
      this.startBytes = startBytes;
      sinceNanos = nanoClock.getAsLong();
      extents.set(index, new Known(startBytes, Long.MAX_VALUE, null, this, sinceNanos));
    }

    /// It has said that all is in one state up to `endBytes`.
    void found(long endBytes, State state) {
      Known question = extents.get(index);
      while (question != null && question.state == null && equals(question.askedBy)) {
        long keptEnd = Math.min(endBytes, question.endBytes);
        Known answer =
            keptEnd > startBytes ? new Known(startBytes, keptEnd, state, this, sinceNanos) : null;
        if (extents.compareAndSet(index, question, answer)) {
          return;
        }
        question = extents.get(index);
      }
    }
  }
}
