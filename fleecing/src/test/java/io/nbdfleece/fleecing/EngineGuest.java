// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SimulatedDisk;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/// The guest of one disk in a simulation, as long as it is served.
final class EngineGuest {
  private static final int WRITES_MAX = 6;

  private final SimulatedWorld world;
  private final SimulatedDisk disk;
  private final ServedDisk served;
  private final Consumer<Throwable> wrong;
  private final Counts counts;
  private final List<Change> inFlight = new ArrayList<>();
  private boolean leaving;
  private int flushes;
  private final CompletableFuture<Void> gone = new CompletableFuture<>();

  /// What guests have done.
  static final class Counts {
    int writes;
    int refusedWrites;

    /// Whether a snapshot was ever asked for that would rather have writes fail.
    boolean mayRefuse;
  }

  /// A range, and what the disk is to hold there.
  private static final class Change {
    final int from;
    final byte[] data;
    boolean overlapped;

    Change(int from, byte[] data) {
      this.from = from;
      this.data = data;
    }

    boolean overlaps(Change other) {
      return from < other.from + other.data.length && other.from < from + data.length;
    }
  }

  EngineGuest(
      SimulatedWorld world,
      SimulatedDisk disk,
      ServedDisk served,
      Consumer<Throwable> wrong,
      Counts counts) {
    this.world = world;
    this.disk = disk;
    this.served = served;
    this.wrong = wrong;
    this.counts = counts;
  }

  private boolean isIdle() {
    return inFlight.isEmpty() && flushes == 0;
  }

  /// Asks for nothing more.
  ///
  /// @return done when nothing is in flight any more
  CompletableFuture<Void> leave() {
    leaving = true;
    endIfIdle();
    return gone;
  }

  private void endIfIdle() {
    if (leaving && isIdle()) {
      gone.complete(null);
    }
  }

  void write() {
    if (leaving || inFlight.size() >= WRITES_MAX) {
      return;
    }
    int size = disk.content.length;
    int most = world.choice.nextInt(8) == 0 ? 80_000 : 3 * SimulatedMachine.CLUSTER_BYTES;
    int from = world.choice.nextInt(size);
    int length = 1 + world.choice.nextInt(Math.min(size - from, most));
    byte[] data = new byte[length];
    Mutation.Durability durability =
        world.choice.nextInt(5) == 0 ? Mutation.Durability.DURABLE : Mutation.Durability.CACHED;
    Mutation mutation =
        switch (world.choice.nextInt(6)) {
          case 0 -> new Mutation.Discard(from, length, durability);
          case 1 -> new Mutation.Zero(from, length, Mutation.Provisioning.MAY_PUNCH, durability);
          default -> {
            world.choice.nextBytes(data);
            yield new Mutation.Write(from, ByteBuffer.wrap(data), durability);
          }
        };
    Change change = new Change(from, data);
    for (Change other : inFlight) {
      if (change.overlaps(other)) {
        change.overlapped = true;
        other.overlapped = true;
      }
    }
    inFlight.add(change);
    counts.writes++;
    served
        .top()
        .apply(
            mutation,
            new Completion() {
              @Override
              public void succeeded() {
                end(change);
                checkThere(change, disk.content);
                if (durability == Mutation.Durability.DURABLE) {
                  checkThere(change, disk.forced);
                }
              }

              @Override
              public void failed(IOException error) {
                end(change);
                checkRefusal("" + error.getMessage());
              }
            });
  }

  private void end(Change change) {
    if (!inFlight.remove(change)) {
      wrong.accept(new AssertionError("a write was answered twice"));
    }
    endIfIdle();
  }

  private void checkThere(Change change, byte[] where) {
    int to = change.from + change.data.length;
    if (!change.overlapped
        && !Arrays.equals(where, change.from, to, change.data, 0, to - change.from)) {
      wrong.accept(
          new AssertionError("a write that was acknowledged is not there: at " + change.from));
    }
  }

  private void checkRefusal(String text) {
    counts.refusedWrites++;
    boolean ofDisk =
        text.contains(SimulatedDisk.ERROR_TEXT)
            && (world.faults.contains(Fault.DISK_WRITE) || world.faults.contains(Fault.DISK_SYNC));
    if (!ofDisk && !(text.contains("break-guest-write") && counts.mayRefuse)) {
      wrong.accept(new AssertionError("a guest's write failed for another reason: " + text));
    }
  }

  void flush() {
    if (leaving) {
      return;
    }
    flushes++;
    served
        .top()
        .flush(
            new Completion() {
              @Override
              public void succeeded() {
                flushes--;
                endIfIdle();
              }

              @Override
              public void failed(IOException error) {
                flushes--;
                endIfIdle();
                if (!world.faults.contains(Fault.DISK_SYNC)) {
                  wrong.accept(new AssertionError("a flush failed without a reason", error));
                }
              }
            });
  }
}
