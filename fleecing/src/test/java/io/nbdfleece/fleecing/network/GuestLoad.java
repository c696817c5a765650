// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import java.util.ArrayList;
import java.util.List;

/// What one guest asks of its disk, and whether each answer may be as it is.
final class GuestLoad {
  private final SimulatedWorld world;
  private final SimulatedEngine engine;
  private final SimulatedEngine.Guarded disk;
  private final SimulatedClient client;
  private final int number;
  private final Tally tally;
  private long cookies;

  GuestLoad(
      SimulatedWorld world,
      SimulatedEngine engine,
      SimulatedEngine.Guarded disk,
      SimulatedClient client,
      int number,
      Tally tally) {
    this.world = world;
    this.engine = engine;
    this.disk = disk;
    this.client = client;
    this.number = number;
    this.tally = tally;
  }

  /// Some requests, without waiting for their answers.
  void some() {
    for (int count = 1 + world.choice.nextInt(5); count > 0; count--) {
      int what = world.choice.nextInt(100);
      if (what < 35) {
        write();
      } else if (what < 62) {
        read(someFrom(), someLength());
      } else if (what < 70) {
        send(Nbd.CMD_FLUSH, 0, 0, 0, new Flush());
      } else if (what < 77) {
        zero(Nbd.CMD_WRITE_ZEROES);
      } else if (what < 82) {
        zero(Nbd.CMD_TRIM);
      } else if (what < 88) {
        status();
      } else if (what < 91) {
        send(Nbd.CMD_CACHE, 0, someFrom(), 1, new Hint());
      } else if (what < 94) {
        outside();
      } else {
        repeat();
      }
    }
  }

  /// All of the disk.
  void readAll() {
    read(0, disk.sizeBytes());
  }

  private int someFrom() {
    return world.choice.nextInt(disk.sizeBytes());
  }

  private int within(int from, int lengthBytes) {
    return Math.min(lengthBytes, disk.sizeBytes() - from);
  }

  private int someLength() {
    return 1 + world.choice.nextInt(chose(0.05) ? disk.sizeBytes() : 3 * engine.clusterBytes());
  }

  private boolean chose(double probability) {
    return world.choice.nextDouble() < probability;
  }

  private byte[] someBytes(int lengthBytes) {
    byte[] bytes = new byte[lengthBytes];
    world.choice.nextBytes(bytes);
    return bytes;
  }

  private void send(int command, int flags, int from, int lengthBytes, Expectation expectation) {
    client.send(
        new Request(cookies++, command, flags, from, lengthBytes, new byte[0], expectation));
  }

  private void read(int from, int lengthBytes) {
    int flags = client.style().isChunked() && chose(0.2) ? Nbd.CMD_FLAG_DF : 0;
    int count = within(from, lengthBytes);
    send(Nbd.CMD_READ, flags, from, count, new Read(from));
  }

  private void write() {
    int from = someFrom();
    byte[] data = someBytes(within(from, someLength()));
    int flags = chose(0.3) ? Nbd.CMD_FLAG_FUA : 0;
    client.send(
        new Request(
            cookies++, Nbd.CMD_WRITE, flags, from, data.length, data, new Change(flags, 1)));
  }

  private void zero(int command) {
    int from = someFrom();
    int flags = chose(0.2) ? Nbd.CMD_FLAG_FUA : 0;
    if (command == Nbd.CMD_WRITE_ZEROES) {
      flags |= (chose(0.3) ? Nbd.CMD_FLAG_FAST_ZERO : 0) | (chose(0.3) ? Nbd.CMD_FLAG_NO_HOLE : 0);
    }
    int lengthBytes = within(from, someLength());
    send(command, flags, from, lengthBytes, new Change(flags, 1));
  }

  private void status() {
    if (client.style().isChunked()) {
      int from = someFrom();
      int flags = chose(0.3) ? Nbd.CMD_FLAG_REQ_ONE : 0;
      int lengthBytes = within(from, 1 + world.choice.nextInt(disk.sizeBytes()));
      send(Nbd.CMD_BLOCK_STATUS, flags, from, lengthBytes, new Status(from, lengthBytes));
    }
  }

  /// Begins on the disk and ends behind it: nothing of that may be carried out.
  private void outside() {
    int from = disk.sizeBytes() - world.choice.nextInt(Math.min(5000, disk.sizeBytes()));
    byte[] data = someBytes(disk.sizeBytes() - from + 1 + world.choice.nextInt(5000));
    if (chose(0.7)) {
      client.send(
          new Request(
              cookies++, Nbd.CMD_WRITE, 0, from, data.length, data, new Refusal(NbdError.ENOSPC)));
    } else {
      send(Nbd.CMD_READ, 0, from, data.length, new Refusal(NbdError.EINVAL));
    }
  }

  /// The same cookie for several requests that are in flight at once.
  private void repeat() {
    int from = someFrom();
    int lengthBytes = within(from, 1 + world.choice.nextInt(engine.clusterBytes()));
    int count = 2 + world.choice.nextInt(3);
    boolean writes = chose(0.5);
    Expectation all = writes ? new Change(0, count) : new Read(from);
    long cookie = cookies++;
    for (int i = 0; i < count; i++) {
      client.send(
          new Request(
              cookie,
              writes ? Nbd.CMD_WRITE : Nbd.CMD_READ,
              0,
              from,
              lengthBytes,
              writes ? someBytes(lengthBytes) : new byte[0],
              all));
    }
    tally.repeatedCookies++;
  }

  private void excuse(Reply reply, Fault... faults) {
    assertEquals(NbdError.EIO.number(), reply.error(), "a guest's error");
    for (Fault fault : faults) {
      if (world.faults.contains(fault)) {
        tally.guestErrors++;
        return;
      }
    }
    throw new AssertionError("a guest's request failed without a fault");
  }

  private final class Read implements Expectation {
    private final int from;
    private long begunAt;

    Read(int from) {
      this.from = from;
    }

    @Override
    public void received(Request request) {
      if (begunAt == 0) {
        begunAt = disk.history().now();
      }
    }

    @Override
    public void answered(Reply reply) {
      if (reply.isSuccess()) {
        disk.history().checkRead(begunAt, from, reply.data());
        tally.guestReads++;
      } else {
        excuse(reply, Fault.DISK_READ, Fault.DISK_BAD_SECTOR);
      }
    }
  }

  private final class Change implements Expectation {
    private final int flags;
    private final int count;
    private final List<DiskHistory.Change> changes = new ArrayList<>();
    private int answered;
    private boolean failed;

    Change(int flags, int count) {
      this.flags = flags;
      this.count = count;
    }

    @Override
    public void received(Request request) {
      boolean write = request.command() == Nbd.CMD_WRITE;
      byte[] data = write ? request.payload() : new byte[request.lengthBytes()];
      boolean trim = request.command() == Nbd.CMD_TRIM;
      changes.add(disk.history().begin(number, request.offsetBytes(), data, trim));
    }

    @Override
    public void answered(Reply reply) {
      if (!reply.isSuccess()) {
        failed = true;
        checkFailure(reply);
      }
      if (++answered == count) {
        for (DiskHistory.Change change : changes) {
          disk.history().end(change, !failed);
          if (!failed && (flags & Nbd.CMD_FLAG_FUA) != 0) {
            disk.history().forced(change);
            tally.forcedWrites++;
          }
        }
        tally.writes += changes.size();
      }
    }

    private void checkFailure(Reply reply) {
      if (reply.error() == NbdError.ENOTSUP.number()) {
        assertTrue((flags & Nbd.CMD_FLAG_FAST_ZERO) != 0, "not fast, which nobody asked for");
      } else if (!engine.mayRefuseWrites()) {
        excuse(reply, (flags & Nbd.CMD_FLAG_FUA) != 0 ? Fault.DISK_SYNC : Fault.DISK_WRITE);
      } else {
        assertEquals(NbdError.EIO.number(), reply.error(), "a guest's error");
        tally.guestErrors++;
      }
    }
  }

  private final class Flush implements Expectation {
    private long begunAt;

    @Override
    public void received(Request request) {
      begunAt = disk.history().now();
    }

    @Override
    public void answered(Reply reply) {
      if (reply.isSuccess()) {
        disk.history().flushed(begunAt);
        tally.flushes++;
      } else {
        excuse(reply, Fault.DISK_SYNC);
      }
    }
  }

  private final class Status implements Expectation {
    private final int from;
    private final int lengthBytes;
    private long begunAt;

    Status(int from, int lengthBytes) {
      this.from = from;
      this.lengthBytes = lengthBytes;
    }

    @Override
    public void received(Request request) {
      begunAt = disk.history().now();
    }

    @Override
    public void answered(Reply reply) {
      if (!reply.isSuccess()) {
        excuse(reply, Fault.DISK_STATUS);
        return;
      }
      int at = from;
      for (Extent extent : reply.extents()) {
        if (extent.flags() != 0) {
          disk.history().checkRead(begunAt, at, new byte[(int) extent.lengthBytes()]);
        }
        at += (int) extent.lengthBytes();
      }
      assertTrue(at <= from + lengthBytes, "more status than asked for");
    }
  }

  private static final class Hint implements Expectation {
    @Override
    public void received(Request request) {}

    @Override
    public void answered(Reply reply) {
      assertTrue(reply.isSuccess(), "a hint failed");
    }
  }

  private final class Refusal implements Expectation {
    private final NbdError error;

    Refusal(NbdError error) {
      this.error = error;
    }

    @Override
    public void received(Request request) {}

    @Override
    public void answered(Reply reply) {
      assertFalse(client.style() == HeaderStyle.SIMPLE && reply.data().length > 0);
      assertEquals(error.number(), reply.error(), "a request past the end");
      tally.refusals++;
    }
  }
}
