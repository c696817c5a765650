// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.DirectSource;
import io.nbdfleece.nbd.server.Session.Mode;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.channel.unix.FileDescriptor;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Reads that the export answers into the socket.
@Timeout(value = 60, unit = TimeUnit.SECONDS)
final class DirectReadsTest {
  private static final int SIZE = 4 << 20;
  private static final int MIN = DirectReads.LENGTH_BYTES_MIN;

  private final SplittableRandom random = new SplittableRandom(7);
  private DirectDisk disk;
  private TestServer server;

  @BeforeEach
  void start() throws IOException {
    disk = new DirectDisk();
    random.nextBytes(disk.disk);
    server = new TestServer(disk);
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
    assertFalse(disk.sentTooLate, "nothing is sent after disconnected()");
  }

  @ParameterizedTest
  @EnumSource(Mode.class)
  void repliesAreWholeWhateverTheSocketTakesAtATime(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      for (int i = 0; i < 100; i++) {
        disk.takesMax = random.nextInt(200) * 1000; // sometimes nothing at all, once
        int length = MIN + random.nextInt(512 << 10);
        int offset = random.nextInt(SIZE - length);
        assertArrayEquals(
            Arrays.copyOfRange(disk.disk, offset, offset + length), session.read(offset, length));
      }
    }
    assertEquals(100, disk.asked.get());
    assertTrue(disk.sends.get() > 100);
  }

  @Test
  void otherRepliesKeepTheirPlaceBetweenThem() throws IOException {
    try (RawPeer peer = server.open()) {
      int count = 200;
      byte[][] requests = new byte[count][];
      int[] lengths = new int[count];
      int[] offsets = new int[count];
      for (int i = 0; i < count; i++) {
        lengths[i] = random.nextBoolean() ? MIN + random.nextInt(MIN) : 1 + random.nextInt(MIN - 1);
        offsets[i] = random.nextInt(SIZE - lengths[i]);
        requests[i] = request(Nbd.CMD_READ, i, offsets[i], lengths[i]);
      }
      disk.takesMax = 100_000;
      Thread sender =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      peer.send(requests);
                    } catch (IOException e) {
                      throw new IllegalStateException(e);
                    }
                  });
      for (int i = 0; i < count; i++) {
        assertEquals(Nbd.SIMPLE_REPLY_MAGIC, peer.in.readInt());
        assertEquals(0, peer.in.readInt());
        int which = (int) peer.in.readLong();
        assertArrayEquals(
            Arrays.copyOfRange(disk.disk, offsets[which], offsets[which] + lengths[which]),
            peer.in.readNBytes(lengths[which]));
      }
      Awaitility.await().until(() -> !sender.isAlive());
    }
  }

  @Test
  void aShortReadGoesThroughABuffer() throws IOException {
    try (Session session = Session.open(server, Mode.STRUCTURED)) {
      assertArrayEquals(Arrays.copyOf(disk.disk, MIN - 1), session.read(0, MIN - 1));
    }
    assertEquals(0, disk.asked.get());
  }

  @Test
  void aReadThatNobodyCanSendGoesThroughABuffer() throws IOException {
    disk.canSend = false;
    try (Session session = Session.open(server, Mode.STRUCTURED)) {
      assertArrayEquals(Arrays.copyOf(disk.disk, MIN), session.read(0, MIN));
    }
    assertEquals(1, disk.asked.get());
    assertEquals(0, disk.sends.get());
  }

  @Test
  void anExportThatThrowsWhenAskedIsRead() throws IOException {
    disk.throwsWhenAsked = true;
    try (Session session = Session.open(server, Mode.STRUCTURED)) {
      assertArrayEquals(Arrays.copyOf(disk.disk, MIN), session.read(0, MIN));
    }
  }

  @Test
  void anErrorInTheMiddleEndsTheConnection() throws IOException {
    disk.takesMax = 10_000;
    disk.failsAtSend = 3;
    try (RawPeer peer = server.open()) {
      peer.send(request(Nbd.CMD_READ, 1, 0, MIN));
      assertEquals(Nbd.SIMPLE_REPLY_BYTES + 20_000, peer.in.readAllBytes().length);
    }
    server.awaitNoConnections();
  }

  @Test
  void aClientThatLeavesInTheMiddleIsForgotten() throws IOException {
    RawPeer peer = server.open();
    for (int i = 0; i < 16; i++) {
      peer.send(request(Nbd.CMD_READ, i, 0, 1 << 20));
    }
    assertEquals(100_000, peer.in.readNBytes(100_000).length);
    peer.close();
    server.awaitNoConnections();
  }

  /// A disk in an array that goes into the socket a piece at a time.
  private static final class DirectDisk extends MemoryExport implements DirectSource {
    final AtomicInteger asked = new AtomicInteger();
    final AtomicInteger sends = new AtomicInteger();
    volatile boolean canSend = true;
    volatile boolean throwsWhenAsked;
    volatile boolean sentTooLate;
    volatile int takesMax = Integer.MAX_VALUE;
    volatile int failsAtSend = -1;

    DirectDisk() {
      super(SIZE, MemoryExport.WRITABLE);
    }

    @Override
    public Optional<DirectSource> direct(long offsetBytes, int lengthBytes) {
      int _ = asked.incrementAndGet();
      if (throwsWhenAsked) {
        throw new IllegalStateException("asked");
      }
      return canSend ? Optional.of(this) : Optional.empty();
    }

    @Override
    public int send(int socket, ByteBuffer head, long offsetBytes, int lengthBytes)
        throws IOException {
      sentTooLate |= connected.get() == disconnected.get();
      if (sends.incrementAndGet() == failsAtSend) {
        throw new EOFException("the disk has become shorter");
      }
      FileDescriptor descriptor = new FileDescriptor(socket);
      if (head.hasRemaining()) {
        int went = descriptor.write(head, head.position(), head.limit());
        head.position(head.position() + Math.max(0, went));
        if (head.hasRemaining()) {
          return 0;
        }
      }
      int takes = takesMax;
      if (takes == 0) {
        takesMax = Integer.MAX_VALUE;
        return 0;
      }
      int bytes = Math.min(lengthBytes, takes);
      ByteBuffer data = ByteBuffer.allocateDirect(bytes);
      data.put(0, disk, (int) offsetBytes, bytes);
      return Math.max(0, descriptor.write(data, 0, bytes));
    }
  }
}
