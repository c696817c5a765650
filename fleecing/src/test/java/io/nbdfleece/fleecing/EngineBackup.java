// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SimulatedDisk;
import io.nbdfleece.fleecing.hook.SimulatedSnapshot;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.fleecing.hook.SnapshotEndedException;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/// A client of one disk of a snapshot in a simulation, and what it has to see.
final class EngineBackup {
  private final SimulatedWorld world;
  private final Snapshot snapshot;
  private final Snapshot.Part part;
  private final SimulatedSnapshot shown;
  private final BooleanSupplier isThere;
  private final Consumer<Throwable> wrong;
  private final Counts counts;

  /// What clients have done.
  static final class Counts {
    int readsVerified;
    int errors;

    /// Requests that have not been answered.
    int open;
  }

  EngineBackup(
      SimulatedWorld world,
      Snapshot snapshot,
      Snapshot.Part part,
      SimulatedSnapshot shown,
      BooleanSupplier isThere,
      Consumer<Throwable> wrong,
      Counts counts) {
    this.world = world;
    this.snapshot = snapshot;
    this.part = part;
    this.shown = shown;
    this.isThere = isThere;
    this.wrong = wrong;
    this.counts = counts;
  }

  Snapshot snapshot() {
    return snapshot;
  }

  private SnapshotView view() {
    return shown.view;
  }

  private boolean hasEnded() {
    return view().brokenBecause().isPresent() || !isThere.getAsBoolean();
  }

  void some() {
    int from = world.choice.nextInt(shown.truth.length);
    int rest = shown.truth.length - from;
    int length = 1 + world.choice.nextInt(Math.min(rest, SimulatedMachine.CLUSTER_BYTES * 4));
    switch (world.choice.nextInt(12)) {
      case 0 -> discard(from, length);
      case 1 -> prefetch(from, 1 + world.choice.nextInt(rest));
      default -> read(from, length);
    }
  }

  void readAll() {
    read(0, shown.truth.length);
  }

  private abstract class Answer implements Completion {
    private boolean answered;

    Answer() {
      counts.open++;
      part.clients().came();
    }

    private void once() {
      if (answered) {
        throw new AssertionError("a request was answered twice");
      }
      answered = true;
      counts.open--;
      part.clients().left();
    }

    abstract void good();

    abstract void bad(IOException error);

    @Override
    public final void succeeded() {
      look(this::good);
    }

    /// Whatever is thrown at the product is perhaps survived.
    private void look(Runnable judging) {
      try {
        once();
        judging.run();
      } catch (AssertionError e) {
        wrong.accept(e);
      }
    }

    @Override
    public final void failed(IOException error) {
      counts.errors++;
      look(() -> bad(error));
    }
  }

  private void read(int from, int length) {
    ByteBuffer target = ByteBuffer.allocate(length);
    boolean endedBefore = hasEnded();
    boolean releasedBefore = shown.anyReleased(from, length);
    view()
        .read(
            from,
            target,
            new Answer() {
              @Override
              void good() {
                if (endedBefore || hasEnded()) {
                  throw new AssertionError("an ended snapshot yielded data (I7)");
                }
                if (releasedBefore) {
                  throw new AssertionError("a released cluster was read");
                }
                checkBytes(from, target);
              }

              @Override
              void bad(IOException error) {
                checkExcuse(from, length, error);
              }
            });
  }

  private void checkBytes(int from, ByteBuffer target) {
    byte[] got = new byte[target.capacity()];
    target.get(0, got);
    int wrong = Arrays.mismatch(shown.shown, from, from + got.length, got, 0, got.length);
    if (wrong >= 0) {
      throw new AssertionError(
          "wrong byte at "
              + (from + wrong)
              + " of disk "
              + part.disk().config().name()
              + " in snapshot "
              + snapshot.name());
    }
    counts.readsVerified++;
    if (shown.access() == SnapshotRequest.Access.READ_ONCE) {
      shown.release(from, got.length);
    }
  }

  private void checkExcuse(int from, int length, IOException error) {
    String text = "" + error.getMessage();
    boolean excused = error instanceof SnapshotEndedException && hasEnded();
    excused |= text.contains("was released by its client") && shown.anyReleased(from, length);
    excused |= text.contains("is outside of the bitmap");
    excused |= text.contains("is lost: ") && Fault.any(Fault.OF_READING, world.faults);
    excused |= text.contains(SimulatedDisk.ERROR_TEXT) && Fault.any(Fault.OF_READING, world.faults);
    if (!excused) {
      throw new AssertionError("a read of a snapshot failed without reason", error);
    }
  }

  private void discard(int from, int length) {
    if (shown.access() != SnapshotRequest.Access.DISCARD) {
      return;
    }
    view()
        .discard(
            from,
            length,
            new Answer() {
              @Override
              void good() {
                shown.release(from, length);
              }

              @Override
              void bad(IOException error) {
                requireEnded(error);
              }
            });
  }

  private void prefetch(int from, int length) {
    view()
        .prefetch(
            from,
            length,
            new Answer() {
              @Override
              void good() {}

              @Override
              void bad(IOException error) {
                requireEnded(error);
              }
            });
  }

  private static void requireEnded(IOException error) {
    if (!(error instanceof SnapshotEndedException)) {
      throw new AssertionError("a request failed without reason", error);
    }
  }
}
