// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.Nbd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// What one backup client asks of a snapshot, and whether each answer may be as it is: the old
/// bytes, or an error that has a reason.
final class BackupLoad {
  private final SimulatedWorld world;
  private final SimulatedEngine engine;
  private final SimulatedEngine.Frozen frozen;
  private final SimulatedClient client;
  private final Tally tally;
  private final int sizeBytes;
  private long cookies = 1L << 40;

  BackupLoad(
      SimulatedWorld world,
      SimulatedEngine engine,
      SimulatedEngine.Frozen frozen,
      SimulatedClient client,
      Tally tally) {
    this.world = world;
    this.engine = engine;
    this.frozen = frozen;
    this.client = client;
    this.tally = tally;
    this.sizeBytes = frozen.shown().truth.length;
  }

  /// Some requests, without waiting for their answers.
  void some() {
    for (int count = 1 + world.choice.nextInt(5); count > 0; count--) {
      int from = world.choice.nextInt(sizeBytes);
      int lengthBytes = 1 + world.choice.nextInt(Math.min(sizeBytes - from, longestBytes()));
      int what = world.choice.nextInt(100);
      if (what < 72) {
        read(from, lengthBytes);
      } else if (what < 84) {
        status(from, 1 + world.choice.nextInt(sizeBytes - from));
      } else if (what < 92) {
        discard(from, lengthBytes);
      } else if (what < 96) {
        send(Nbd.CMD_CACHE, from, lengthBytes, new byte[0], new Hint());
      } else {
        byte[] data = new byte[lengthBytes];
        send(Nbd.CMD_WRITE, from, lengthBytes, data, new Refusal());
      }
    }
  }

  private int longestBytes() {
    return world.choice.nextInt(20) == 0 ? sizeBytes : 4 * engine.clusterBytes();
  }

  /// All of the snapshot, a cluster at a time.
  void readAll() {
    for (int at = 0; at < sizeBytes; at += engine.clusterBytes()) {
      read(at, Math.min(engine.clusterBytes(), sizeBytes - at));
    }
  }

  private void send(
      int command, int from, int lengthBytes, byte[] payload, Expectation expectation) {
    client.send(new Request(cookies++, command, 0, from, lengthBytes, payload, expectation));
  }

  private void read(int from, int lengthBytes) {
    send(Nbd.CMD_READ, from, lengthBytes, new byte[0], new Read(from, lengthBytes));
  }

  private void status(int from, int lengthBytes) {
    if (client.style().isChunked()) {
      send(Nbd.CMD_BLOCK_STATUS, from, lengthBytes, new byte[0], new Status(from, lengthBytes));
    }
  }

  private void discard(int from, int lengthBytes) {
    boolean may = frozen.shown().access() == Access.DISCARD;
    Expectation expected = may ? new Discard(from, lengthBytes) : new Refusal();
    send(Nbd.CMD_TRIM, from, lengthBytes, new byte[0], expected);
  }

  private void checkEio(Reply reply) {
    assertEquals(NbdError.EIO.number(), reply.error(), "a backup's error");
    tally.snapshotErrors++;
  }

  private final class Read implements Expectation {
    private final int from;
    private final int lengthBytes;
    private boolean endedBefore;

    Read(int from, int lengthBytes) {
      this.from = from;
      this.lengthBytes = lengthBytes;
    }

    @Override
    public void received(Request request) {
      endedBefore = frozen.hasEnded();
      if (frozen.shown().access() == Access.READ_ONCE) {
        frozen.shown().release(from, lengthBytes);
      }
    }

    @Override
    public void answered(Reply reply) {
      if (!reply.isSuccess()) {
        checkEio(reply);
        assertTrue(isExcused(), "a read of a snapshot failed without reason");
        return;
      }
      assertFalse(endedBefore, "a snapshot that has ended yielded data");
      byte[] expected = Arrays.copyOfRange(frozen.shown().shown, from, from + lengthBytes);
      assertEquals(
          -1,
          Arrays.mismatch(expected, reply.data()),
          () -> "wrong byte of " + frozen.exportName() + " in a read at " + from);
      tally.snapshotReads++;
    }

    private boolean isExcused() {
      return frozen.hasEnded()
          || frozen.shown().anyReleased(from, lengthBytes)
          || frozen.shown().anyLost(from, lengthBytes)
          || world.faults.contains(Fault.DISK_READ)
          || world.faults.contains(Fault.DISK_BAD_SECTOR);
    }
  }

  private final class Status implements Expectation {
    private final int from;
    private final int lengthBytes;

    Status(int from, int lengthBytes) {
      this.from = from;
      this.lengthBytes = lengthBytes;
    }

    @Override
    public void received(Request request) {}

    @Override
    public void answered(Reply reply) {
      if (!reply.isSuccess()) {
        checkEio(reply);
        assertTrue(
            frozen.hasEnded() || world.faults.contains(Fault.DISK_STATUS), "a status failed");
        return;
      }
      List<BlockExtent> extents = new ArrayList<>();
      for (Extent extent : reply.extents()) {
        BlockExtent.State state =
            extent.flags() == 0
                ? BlockExtent.State.DATA
                : extent.flags() == Extent.ZERO ? BlockExtent.State.ZERO : BlockExtent.State.HOLE;
        extents.add(new BlockExtent(extent.lengthBytes(), state));
      }
      assertTrue(
          frozen.shown().check(from, extents) <= from + lengthBytes, "more status than asked for");
    }
  }

  private final class Discard implements Expectation {
    private final int from;
    private final int lengthBytes;

    Discard(int from, int lengthBytes) {
      this.from = from;
      this.lengthBytes = lengthBytes;
    }

    @Override
    public void received(Request request) {
      frozen.shown().release(from, lengthBytes);
    }

    @Override
    public void answered(Reply reply) {
      if (!reply.isSuccess()) {
        checkEio(reply);
        assertTrue(frozen.hasEnded(), "a discard failed");
      }
    }
  }

  private final class Hint implements Expectation {
    @Override
    public void received(Request request) {}

    @Override
    public void answered(Reply reply) {
      if (!reply.isSuccess()) {
        checkEio(reply);
        assertTrue(frozen.hasEnded(), "a prefetch failed");
      }
    }
  }

  private static final class Refusal implements Expectation {
    @Override
    public void received(Request request) {}

    @Override
    public void answered(Reply reply) {
      assertEquals(NbdError.EPERM.number(), reply.error(), "a snapshot was changed");
    }
  }
}
