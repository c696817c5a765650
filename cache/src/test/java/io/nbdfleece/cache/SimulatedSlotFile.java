// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.PosixException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/// A disk tier in memory, on one thread: operations end when the test says so, in any order, with
/// the faults asked for. It checks that the store keeps the rules of [SlotFile].
final class SimulatedSlotFile implements SlotFile {
  private final int clusterBytes;
  private final Random random;
  private final Map<Long, byte[]> clusters = new HashMap<>();
  private final List<Operation> pending = new ArrayList<>();

  /// Of 100 writes, how many fail.
  int writeFailurePercent;

  /// Of 100 punches, how many fail.
  int punchFailurePercent;

  /// Writes there fail.
  final Set<Long> badOffsets = new HashSet<>();

  /// Writes of several clusters.
  int severalCount;

  boolean closed;

  SimulatedSlotFile(int clusterBytes, Random random) {
    this.clusterBytes = clusterBytes;
    this.random = random;
  }

  @Override
  public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
    int lengthBytes = 0;
    for (ByteBuffer cluster : data) {
      check(cluster.isDirect() && cluster.remaining() == clusterBytes, "a cluster each");
      lengthBytes += clusterBytes;
    }
    begin(new Operation(Kind.WRITE, offsetBytes, lengthBytes, data, done));
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    begin(new Operation(Kind.READ, offsetBytes, target.remaining(), List.of(target), done));
  }

  @Override
  public void punch(long offsetBytes, long lengthBytes, Completion done) {
    begin(new Operation(Kind.PUNCH, offsetBytes, lengthBytes, List.of(), done));
  }

  @Override
  public void close() {
    check(!closed && pending.isEmpty(), "closed in use");
    closed = true;
  }

  private void begin(Operation operation) {
    check(!closed, "used after close");
    check(operation.offset % clusterBytes == 0 && operation.length > 0, "range");
    for (Operation other : pending) {
      boolean overlap =
          other.offset < operation.offset + operation.length
              && operation.offset < other.offset + other.length;
      check(
          !overlap || (other.kind == Kind.READ && operation.kind == Kind.READ),
          () -> operation + " overlaps " + other);
    }
    pending.add(operation);
  }

  int pendingCount() {
    return pending.size();
  }

  int clusterCount() {
    return clusters.size();
  }

  boolean isPending(long offsetBytes) {
    return pending.stream().anyMatch(each -> each.covers(offsetBytes));
  }

  /// Flips one bit of a cluster.
  boolean damage(long offsetBytes) {
    byte[] bytes = clusters.get(offsetBytes);
    if (bytes == null) {
      return false;
    }
    bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
    return true;
  }

  /// Ends one operation of those that are pending.
  void completeOne() {
    complete(pending.get(random.nextInt(pending.size())));
  }

  /// Ends the operation that is pending there.
  void completeAt(long offsetBytes) {
    complete(pending.stream().filter(each -> each.covers(offsetBytes)).findAny().orElseThrow());
  }

  private void complete(Operation operation) {
    pending.remove(operation);
    switch (operation.kind) {
      case WRITE -> endWrite(operation);
      case READ -> endRead(operation);
      case PUNCH -> endPunch(operation);
    }
  }

  private void endWrite(Operation operation) {
    boolean fails =
        random.nextInt(100) < writeFailurePercent
            || badOffsets.stream().anyMatch(operation::covers);
    int whole = fails ? random.nextInt(operation.buffers.size()) : operation.buffers.size();
    for (int i = 0; i <= whole && i < operation.buffers.size(); i++) {
      byte[] bytes = new byte[clusterBytes];
      operation.buffers.get(i).get(bytes);
      if (i == whole) {
        bytes[random.nextInt(bytes.length)] ^= 1;
      }
      clusters.put(operation.offset + (long) i * clusterBytes, bytes);
    }
    if (operation.buffers.size() > 1) {
      severalCount++;
    }
    if (fails) {
      int errno = random.nextBoolean() ? Errno.ENOSPC : Errno.EIO;
      operation.done.failed(new PosixException("write scratch", errno));
    } else {
      operation.done.succeeded();
    }
  }

  private void endRead(Operation operation) {
    byte[] bytes = clusters.get(operation.offset);
    if (bytes == null) {
      operation.done.failed(new IOException("read of what was not written"));
      return;
    }
    operation.buffers.getFirst().put(bytes);
    operation.done.succeeded();
  }

  private void endPunch(Operation operation) {
    if (random.nextInt(100) < punchFailurePercent) {
      operation.done.failed(new PosixException("punch scratch", Errno.EOPNOTSUPP));
      return;
    }
    for (long i = 0; i < operation.length; i += clusterBytes) {
      clusters.remove(operation.offset + i);
    }
    operation.done.succeeded();
  }

  private static void check(boolean holds, String text) {
    check(holds, () -> text);
  }

  private static void check(boolean holds, java.util.function.Supplier<String> text) {
    if (!holds) {
      throw new AssertionError(text.get());
    }
  }

  private enum Kind {
    WRITE,
    READ,
    PUNCH
  }

  private record Operation(
      Kind kind, long offset, long length, List<ByteBuffer> buffers, Completion done) {

    boolean covers(long offsetBytes) {
      return offset <= offsetBytes && offsetBytes < offset + length;
    }
  }
}
