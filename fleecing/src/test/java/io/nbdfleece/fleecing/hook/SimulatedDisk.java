// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NodeAbility;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// A disk that is as nasty as a disk may be: each operation takes its time, finishes out of order
/// or at once, and reads and writes sector after sector at different moments, so that whoever lets
/// a read and a write of the same cluster overlap gets a torn result. It fails in each way there is
/// a [Fault] for.
public final class SimulatedDisk implements BlockNode {
  /// In the text of each error of the disk, and of no other.
  public static final String ERROR_TEXT = "simulated EIO of the disk";

  private static final int SECTOR_BYTES = 512;

  /// More than a drain waits.
  private static final long HANG_NANOS = 12_000_000_000L;

  private final SimulatedWorld world;
  public final byte[] content;
  private final long delayNanosMax;

  /// What a power failure would leave.
  public final byte[] forced;

  /// Those in which that may lag behind.
  private final BitSet unforced = new BitSet();

  /// Those that cannot be read until they are overwritten.
  private final BitSet badSectors = new BitSet();

  private long changes;
  private long changedNanos;

  public SimulatedDisk(SimulatedWorld world, byte[] content, long delayNanosMax) {
    this.world = world;
    this.content = content;
    this.forced = content.clone();
    this.delayNanosMax = delayNanosMax;
  }

  @Override
  public long sizeBytes() {
    return content.length;
  }

  @Override
  public Set<NodeAbility> abilities() {
    return EnumSet.allOf(NodeAbility.class);
  }

  private static IOException error(String operation) {
    return new IOException(ERROR_TEXT + ": " + operation);
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    long endBytes = offsetBytes + target.remaining();
    int firstSector = (int) (offsetBytes / SECTOR_BYTES);
    int endSector = (int) Math.ceilDiv(endBytes, SECTOR_BYTES);
    if (world.strikes(Fault.DISK_BAD_SECTOR, 0.01)) {
      badSectors.set(firstSector + world.random.nextInt(endSector - firstSector));
    }
    Step move =
        (from, to) ->
            target.put(
                target.position() + (int) (from - offsetBytes),
                content,
                (int) from,
                (int) (to - from));
    int bad = badSectors.nextSetBit(firstSector);
    if (bad >= 0 && bad < endSector) {
      inSteps(
          offsetBytes,
          Math.max(offsetBytes, (long) bad * SECTOR_BYTES),
          move,
          failing(done, "read, sector " + bad));
    } else if (world.strikes(Fault.DISK_READ, 0.02)) {
      inSteps(offsetBytes, part(offsetBytes, endBytes), move, failing(done, "read"));
    } else {
      inSteps(offsetBytes, endBytes, move, done);
    }
  }

  private long part(long startBytes, long endBytes) {
    return startBytes + world.random.nextLong(endBytes - startBytes);
  }

  private static Completion failing(Completion done, String operation) {
    return new Completion() {
      @Override
      public void succeeded() {
        done.failed(error(operation));
      }

      @Override
      public void failed(IOException error) {
        done.failed(error);
      }
    };
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    long offsetBytes = mutation.offsetBytes();
    long endBytes = offsetBytes + mutation.lengthBytes();
    Step move =
        (from, to) -> {
          switch (mutation) {
            case Mutation.Write write ->
                write
                    .data()
                    .get(
                        write.data().position() + (int) (from - offsetBytes),
                        content,
                        (int) from,
                        (int) (to - from));
            case Mutation.Zero zero -> Arrays.fill(content, (int) from, (int) to, (byte) 0);
            case Mutation.Discard discard -> Arrays.fill(content, (int) from, (int) to, (byte) 0);
          }
          changed();
          heal(from, to);
          unforced.set((int) (from / SECTOR_BYTES), (int) Math.ceilDiv(to, SECTOR_BYTES));
        };
    Completion changed =
        mutation.durability() == Mutation.Durability.DURABLE
            ? forcing(offsetBytes, endBytes, done)
            : done;
    if (world.strikes(Fault.DISK_WRITE, 0.03)) {
      inSteps(offsetBytes, part(offsetBytes, endBytes), move, failing(done, "write"));
    } else if (world.faults.contains(Fault.DISK_HANG) && world.strikes(Fault.DISK_HANG, 0.02)) {
      Runnable _ = world.after(HANG_NANOS, () -> inSteps(offsetBytes, endBytes, move, changed));
    } else {
      inSteps(offsetBytes, endBytes, move, changed);
    }
  }

  private Completion forcing(long startBytes, long endBytes, Completion done) {
    return new Completion() {
      @Override
      public void succeeded() {
        BitSet due = new BitSet();
        due.set((int) (startBytes / SECTOR_BYTES), (int) Math.ceilDiv(endBytes, SECTOR_BYTES));
        due.and(unforced);
        force(due, done);
      }

      @Override
      public void failed(IOException error) {
        done.failed(error);
      }
    };
  }

  /// At once, or later; what changes meanwhile may be forced in its old or in its new state.
  private void force(BitSet due, Completion done) {
    int failsAt = world.strikes(Fault.DISK_SYNC, 0.1) ? world.random.nextInt(64) : -1;
    Runnable sync =
        () -> {
          int count = 0;
          for (int sector = due.nextSetBit(0); sector >= 0; sector = due.nextSetBit(sector + 1)) {
            if (count++ == failsAt) {
              break;
            }
            int at = sector * SECTOR_BYTES;
            int lengthBytes = Math.min(SECTOR_BYTES, content.length - at);
            System.arraycopy(content, at, forced, at, lengthBytes);
            unforced.clear(sector);
          }
          if (failsAt < 0) {
            done.succeeded();
          } else {
            done.failed(error("sync"));
          }
        };
    if (world.isCalm() || world.chance(0.4)) {
      sync.run();
    } else {
      world.later(delayNanosMax, sync);
    }
  }

  private void heal(long from, long to) {
    int first = (int) Math.ceilDiv(from, SECTOR_BYTES);
    int end = (int) (to / SECTOR_BYTES);
    if (first < end) {
      badSectors.clear(first, end);
    }
  }

  private interface Step {
    void move(long from, long to);
  }

  /// At once, or in two parts at two later moments.
  private void inSteps(long startBytes, long endBytes, Step step, Completion done) {
    if (world.isCalm() || world.chance(0.4)) {
      step.move(startBytes, endBytes);
      done.succeeded();
      return;
    }
    long sectors = (endBytes - startBytes) / SECTOR_BYTES;
    long cut = startBytes + (sectors < 2 ? 0 : world.random.nextLong(sectors) * SECTOR_BYTES);
    world.later(
        delayNanosMax,
        () -> {
          step.move(startBytes, cut);
          world.later(
              delayNanosMax,
              () -> {
                step.move(cut, endBytes);
                done.succeeded();
              });
        });
  }

  private void changed() {
    changes++;
    changedNanos = world.nowNanos();
  }

  /// How often the content has changed.
  public long changes() {
    return changes;
  }

  /// When it last did.
  public long changedNanos() {
    return changedNanos;
  }

  /// Each sector that was not forced falls back to what was, or does not.
  public void powerFailure() {
    for (int sector = unforced.nextSetBit(0);
        sector >= 0;
        sector = unforced.nextSetBit(sector + 1)) {
      int at = sector * SECTOR_BYTES;
      int lengthBytes = Math.min(SECTOR_BYTES, content.length - at);
      if (world.chance(0.5)) {
        System.arraycopy(forced, at, content, at, lengthBytes);
        changes++;
      } else {
        System.arraycopy(content, at, forced, at, lengthBytes);
      }
    }
    unforced.clear();
  }

  @Override
  public void flush(Completion done) {
    force((BitSet) unforced.clone(), done);
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    if (world.strikes(Fault.DISK_STATUS, 0.1)) {
      world.later(delayNanosMax, () -> done.failed(error("status")));
      return;
    }
    world.later(
        delayNanosMax,
        () -> {
          List<BlockExtent> extents = new ArrayList<>();
          BlockExtent.State zeroState =
              world.chance(0.5) ? BlockExtent.State.HOLE : BlockExtent.State.ZERO;
          for (long at = offsetBytes; at < offsetBytes + lengthBytes; ) {
            long end = Math.min(offsetBytes + lengthBytes, (at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            boolean zero = true;
            for (long i = at; i < end; i++) {
              zero &= content[(int) i] == 0;
            }
            BlockExtent.append(extents, end - at, zero ? zeroState : BlockExtent.State.DATA);
            at = end;
          }
          world.later(delayNanosMax, () -> done.succeeded(extents));
        });
  }

  @Override
  public void close() {}
}
