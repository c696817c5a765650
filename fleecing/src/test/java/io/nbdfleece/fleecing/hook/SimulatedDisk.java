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
import java.util.List;

/// A disk that is as nasty as a disk may be: each operation takes its time, finishes out of order
/// or at once, and reads and writes sector after sector at different moments, so that whoever lets
/// a read and a write of the same cluster overlap gets a torn result. Reads fail with a chance.
final class SimulatedDisk implements BlockNode {
  private static final int SECTOR_BYTES = 512;

  private final SimulatedWorld world;
  final byte[] content;
  private final long delayNanosMax;
  private final double readErrorChance;
  int mutationsInFlight;

  SimulatedDisk(SimulatedWorld world, byte[] content, long delayNanosMax, double readErrorChance) {
    this.world = world;
    this.content = content;
    this.delayNanosMax = delayNanosMax;
    this.readErrorChance = readErrorChance;
  }

  @Override
  public long sizeBytes() {
    return content.length;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    if (!world.isCalm() && world.chance(readErrorChance)) {
      world.later(delayNanosMax, () -> done.failed(new IOException("simulated EIO")));
      return;
    }
    inSteps(
        offsetBytes,
        offsetBytes + target.remaining(),
        (from, to) ->
            target.put(
                target.position() + (int) (from - offsetBytes),
                content,
                (int) from,
                (int) (to - from)),
        done);
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    mutationsInFlight++;
    long offsetBytes = mutation.offsetBytes();
    inSteps(
        offsetBytes,
        offsetBytes + mutation.lengthBytes(),
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
        },
        new Completion() {
          @Override
          public void succeeded() {
            mutationsInFlight--;
            done.succeeded();
          }

          @Override
          public void failed(IOException error) {
            mutationsInFlight--;
            done.failed(error);
          }
        });
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
