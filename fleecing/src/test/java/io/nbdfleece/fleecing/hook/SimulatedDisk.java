// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/// A disk that is as nasty as a disk may be: each operation takes its time, finishes out of order
/// or at once, and reads and writes sector after sector at different moments, so that whoever lets
/// a read and a write of the same cluster overlap gets a torn result. It fails in each way there is
/// a [Fault] for.
final class SimulatedDisk implements BlockNode {
  /// In the text of each error of the disk, and of no other.
  static final String ERROR_TEXT = "simulated EIO of the disk";

  private static final int SECTOR_BYTES = 512;

  private final SimulatedWorld world;
  final byte[] content;
  private final long delayNanosMax;

  /// Those that cannot be read until they are overwritten.
  private final BitSet badSectors = new BitSet();

  SimulatedDisk(SimulatedWorld world, byte[] content, long delayNanosMax) {
    this.world = world;
    this.content = content;
    this.delayNanosMax = delayNanosMax;
  }

  @Override
  public long sizeBytes() {
    return content.length;
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
          heal(from, to);
        };
    if (world.strikes(Fault.DISK_WRITE, 0.03)) {
      inSteps(offsetBytes, part(offsetBytes, endBytes), move, failing(done, "write"));
    } else {
      inSteps(offsetBytes, endBytes, move, done);
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

  @Override
  public void flush(Completion done) {
    done.succeeded();
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
