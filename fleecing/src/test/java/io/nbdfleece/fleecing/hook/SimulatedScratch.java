// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.SlotFile;
import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.PosixException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// A scratch file that takes its time, fails in each way there is a [Fault] for, and flips bits.
final class SimulatedScratch implements SlotFile {
  private static final long DELAY_NANOS_MAX = 300_000;
  private static final long FULL_NANOS = 5_000_000;

  private final SimulatedWorld world;
  private final int clusterBytes;
  private final Map<Long, byte[]> clusters = new HashMap<>();
  private final Set<Long> badSpots = new HashSet<>();
  private long fullUntilNanos;
  private boolean gone;

  SimulatedScratch(SimulatedWorld world, int clusterBytes) {
    this.world = world;
    this.clusterBytes = clusterBytes;
  }

  private void sometime(Runnable what) {
    if (world.isCalm() || world.chance(0.3)) {
      what.run();
    } else {
      world.later(DELAY_NANOS_MAX, what);
    }
  }

  private boolean isGone() {
    gone |= world.strikes(Fault.SCRATCH_GONE, 0.005);
    return gone;
  }

  private static IOException error(String operation, int errno) {
    return new PosixException(operation + " the scratch file", errno);
  }

  private void flipAtRest() {
    if (world.strikes(Fault.SCRATCH_FLIP, 0.02) && !clusters.isEmpty()) {
      List<byte[]> all = new ArrayList<>(clusters.values());
      flip(all.get(world.random.nextInt(all.size())));
    }
  }

  private void flip(byte[] bytes) {
    bytes[world.random.nextInt(bytes.length)] ^= (byte) (1 << world.random.nextInt(8));
  }

  @Override
  public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
    flipAtRest();
    sometime(() -> endWrite(offsetBytes, data, done));
  }

  private void endWrite(long offsetBytes, List<ByteBuffer> data, Completion done) {
    long position = offsetBytes;
    for (ByteBuffer cluster : data) {
      int lengthBytes = cluster.remaining();
      Optional<IOException> error = write(position, cluster);
      if (error.isPresent()) {
        done.failed(error.get()); // what stands before it is written
        return;
      }
      position += lengthBytes;
    }
    done.succeeded();
  }

  private Optional<IOException> write(long offsetBytes, ByteBuffer data) {
    if (world.strikes(Fault.SCRATCH_NO_SPACE, 0.03)) {
      fullUntilNanos = world.nowNanos() + FULL_NANOS;
    }
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    if (!world.isCalm() && world.nowNanos() < fullUntilNanos) {
      return Optional.of(error("write", Errno.ENOSPC));
    }
    if (isGone()) {
      return Optional.of(error("write", Errno.EIO));
    }
    if (world.strikes(Fault.SCRATCH_WRITE, 0.05)) {
      byte[] before = clusters.getOrDefault(offsetBytes, new byte[bytes.length]);
      System.arraycopy(bytes, 0, before, 0, world.random.nextInt(bytes.length));
      clusters.put(offsetBytes, before);
      return Optional.of(error("write", Errno.EIO));
    }
    if (world.strikes(Fault.SCRATCH_FLIP, 0.01)) {
      flip(bytes);
    }
    badSpots.remove(offsetBytes);
    clusters.put(offsetBytes, bytes);
    return Optional.empty();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    flipAtRest();
    sometime(() -> endRead(offsetBytes, target, done));
  }

  private void endRead(long offsetBytes, ByteBuffer target, Completion done) {
    if (world.strikes(Fault.SCRATCH_BAD_SPOT, 0.02)) {
      badSpots.add(offsetBytes);
    }
    byte[] bytes =
        clusters.getOrDefault(offsetBytes, new byte[0]); // to fail by the checksum, if at all
    boolean fails =
        isGone() || badSpots.contains(offsetBytes) || world.strikes(Fault.SCRATCH_READ, 0.05);
    int length = target.remaining();
    target.put(java.util.Arrays.copyOf(bytes, fails ? world.random.nextInt(length) : length));
    if (fails) {
      done.failed(error("read", Errno.EIO));
    } else {
      done.succeeded();
    }
  }

  @Override
  public void punch(long offsetBytes, long lengthBytes, Completion done) {
    sometime(
        () -> {
          if (isGone() || world.strikes(Fault.SCRATCH_PUNCH, 0.3)) {
            done.failed(error("punch a hole into", Errno.EOPNOTSUPP));
            return;
          }
          for (long at = offsetBytes; at < offsetBytes + lengthBytes; at += clusterBytes) {
            clusters.remove(at);
          }
          done.succeeded();
        });
  }

  @Override
  public void close() {}
}
