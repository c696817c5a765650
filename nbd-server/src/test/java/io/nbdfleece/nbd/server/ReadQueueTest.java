// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.write;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Which reads are started when, of a client that asks for a lot at once.
@Timeout(value = 60, unit = TimeUnit.SECONDS)
final class ReadQueueTest {
  private static final int READ_BYTES = 256 << 10;
  private static final int COUNT = 60;

  private final CountingDisk disk = new CountingDisk();
  private TestServer server;

  @BeforeEach
  void start() throws IOException {
    new SplittableRandom(3).nextBytes(disk.disk);
    ServerLimits oneLoop = ServerLimits.defaults().withEventLoopCount(1);
    server = new TestServer(disk, oneLoop);
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  @Test
  void whatAClientDoesNotTakeIsNotReadForItAndNothingElseWaitsBehindIt() throws IOException {
    try (RawPeer peer = server.open()) {
      byte[] payload = {1, 2, 3};
      peer.send(reads());
      peer.send(write(COUNT, 5, payload));
      Awaitility.await().until(() -> disk.writes.get() == 1);
      int startedBehindTheWrite = disk.reads.get();
      assertTrue(startedBehindTheWrite < COUNT / 2, "started: " + startedBehindTheWrite);
      boolean[] answered = new boolean[COUNT + 1];
      readReplies(peer, answered, COUNT + 1);
      assertEquals(COUNT, disk.reads.get());
    }
  }

  @Test
  void readsThatWaitForADeviceWaitAtTheSameTime() throws IOException {
    disk.hold = true;
    try (RawPeer peer = server.open()) {
      peer.send(reads(READ_BYTES / 4));
      Awaitility.await().until(() -> disk.held.size() == COUNT);
      disk.hold = false;
      letGo(COUNT);
      boolean[] answered = new boolean[COUNT];
      readReplies(peer, answered, COUNT, READ_BYTES / 4);
    }
  }

  @Test
  void ofLongReadsOnlySoManyWaitAtTheSameTime() throws IOException {
    disk.hold = true;
    try (RawPeer peer = server.open()) {
      peer.send(reads());
      awaitStarted(peer, ReadQueue.WAITING_COUNT);
      letGo(1);
      boolean[] answered = new boolean[COUNT];
      readReplies(peer, answered, 1);
      awaitStarted(peer, ReadQueue.WAITING_COUNT + 1);
      disk.hold = false;
      letGo(ReadQueue.WAITING_COUNT);
      readReplies(peer, answered, COUNT - 1);
      assertEquals(COUNT, disk.reads.get());
    }
  }

  @Test
  void whatIsDoneDuringTheTurnOfItsConnectionMakesRoomToo() throws IOException {
    disk.hold = true;
    try (RawPeer peer = server.open()) {
      peer.send(reads());
      awaitStarted(peer, ReadQueue.WAITING_COUNT);
      disk.duringWrite = () -> letGo(1);
      peer.send(write(COUNT, 5, new byte[] {1}));
      boolean[] answered = new boolean[COUNT + 1];
      readReplies(peer, answered, 1);
      awaitStarted(peer, ReadQueue.WAITING_COUNT + 1);
      disk.hold = false;
      letGo(ReadQueue.WAITING_COUNT + 1);
      readReplies(peer, answered, COUNT);
    }
  }

  @Test
  void aClientThatLeavesTakesThoseBehindTheWaitingOnesWithIt() throws IOException {
    disk.hold = true;
    try (RawPeer peer = server.open()) {
      peer.send(reads());
      awaitStarted(peer, ReadQueue.WAITING_COUNT);
    }
    disk.hold = false;
    letGo(ReadQueue.WAITING_COUNT); // the first reply shows that nobody is there any more
    server.awaitNoConnections();
    Awaitility.await().until(() -> disk.disconnected.get() == 1);
    assertTrue(disk.reads.get() < COUNT, "started: " + disk.reads);
  }

  @Test
  void aClientThatSaysGoodByeAndAServerThatEndsGetAllRepliesSent() throws Exception {
    disk.hold = true;
    try (RawPeer leaving = server.open();
        RawPeer staying = server.open()) {
      leaving.send(reads());
      awaitStarted(leaving, ReadQueue.WAITING_COUNT);
      leaving.send(request(Nbd.CMD_DISC, 0, 0, 0));
      staying.send(reads());
      awaitStarted(staying, 2 * ReadQueue.WAITING_COUNT); // and the server has all requests
      Thread closer = Thread.startVirtualThread(() -> server.server.close(Duration.ofSeconds(30)));
      disk.hold = false;
      letGo(2 * ReadQueue.WAITING_COUNT);
      for (RawPeer peer : new RawPeer[] {leaving, staying}) {
        boolean[] answered = new boolean[COUNT];
        readReplies(peer, answered, COUNT);
        assertTrue(peer.atEnd());
      }
      closer.join();
    }
  }

  /// So many reads have been started, and no more although the connection has had its turn again.
  private void awaitStarted(RawPeer peer, int count) throws IOException {
    Awaitility.await().until(() -> disk.reads.get() >= count);
    for (int turn = 0; turn < 3; turn++) {
      peer.send(request(Nbd.CMD_READ, COUNT, disk.disk.length, 1));
      assertEquals(NbdError.EINVAL.number(), peer.reply().error());
    }
    assertEquals(count, disk.reads.get());
  }

  /// A device has done the oldest of what waits for it; what they make start comes behind.
  private void letGo(int count) {
    for (int i = 0; i < count; i++) {
      disk.held.remove().run();
    }
  }

  @Test
  void anotherConnectionOfTheLoopHasItsTurnInBetween() throws Exception {
    try (RawPeer greedy = server.open();
        RawPeer guest = server.open()) {
      Thread taker =
          Thread.startVirtualThread(
              () -> {
                try {
                  boolean[] answered = new boolean[COUNT];
                  readReplies(greedy, answered, COUNT);
                } catch (IOException e) {
                  throw new IllegalStateException(e);
                }
              });
      // The event loop stays in the first read until the guest's request lies in its socket.
      disk.firstRead = new CountDownLatch(1);
      greedy.send(reads());
      Awaitility.await().until(() -> disk.reads.get() == 1);
      guest.send(write(0, 0, new byte[] {9}));
      disk.firstRead.countDown();
      assertEquals(0, guest.reply().error());
      int turnReads = ReadQueue.TURN_BYTES / READ_BYTES;
      assertTrue(
          disk.readsBeforeWrite.get() <= 3 * turnReads, "before it: " + disk.readsBeforeWrite);
      taker.join();
    }
  }

  @Test
  void aClientThatLeavesTakesItsWaitingReadsWithIt() throws IOException {
    try (RawPeer peer = server.open()) {
      peer.send(reads());
      peer.send(write(COUNT, 5, new byte[] {1}));
      Awaitility.await().until(() -> disk.writes.get() == 1);
    }
    server.awaitNoConnections();
    Awaitility.await().until(() -> disk.disconnected.get() == 1);
    assertTrue(disk.reads.get() < COUNT, "started: " + disk.reads);
  }

  private static byte[][] reads() {
    return reads(READ_BYTES);
  }

  private static byte[][] reads(int lengthBytes) {
    byte[][] requests = new byte[COUNT][];
    for (int i = 0; i < COUNT; i++) {
      requests[i] = request(Nbd.CMD_READ, i, offset(i), lengthBytes);
    }
    return requests;
  }

  private static int offset(int number) {
    return 4096 * number + 4096;
  }

  private void readReplies(RawPeer peer, boolean[] answered, int count) throws IOException {
    readReplies(peer, answered, count, READ_BYTES);
  }

  private void readReplies(RawPeer peer, boolean[] answered, int count, int lengthBytes)
      throws IOException {
    for (int i = 0; i < count; i++) {
      readReply(peer, answered, lengthBytes);
    }
  }

  /// A simple reply to one of them, or to a write of the cookie behind theirs.
  private void readReply(RawPeer peer, boolean[] answered, int lengthBytes) throws IOException {
    RawPeer.Answer head = peer.reply(0);
    int number = (int) head.cookie();
    assertEquals(0, head.error());
    assertEquals(false, answered[number], "answered twice: " + number);
    answered[number] = true;
    if (number < COUNT) {
      byte[] expected = Arrays.copyOfRange(disk.disk, offset(number), offset(number) + lengthBytes);
      assertArrayEquals(expected, peer.in.readNBytes(lengthBytes));
    }
  }

  private static final class CountingDisk extends MemoryExport {
    final AtomicInteger reads = new AtomicInteger();
    final AtomicInteger writes = new AtomicInteger();
    final AtomicInteger readsBeforeWrite = new AtomicInteger();
    volatile CountDownLatch firstRead = new CountDownLatch(0);
    volatile Runnable duringWrite = () -> {};

    CountingDisk() {
      super(1 << 20, WRITABLE);
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      reads.incrementAndGet();
      try {
        firstRead.await();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      super.read(offsetBytes, target, done);
    }

    @Override
    public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
      writes.incrementAndGet();
      readsBeforeWrite.set(reads.get());
      duringWrite.run();
      super.write(offsetBytes, data, durability, done);
    }
  }
}
