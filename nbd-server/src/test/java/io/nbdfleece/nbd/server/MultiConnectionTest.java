// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.server.Session.Mode;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// What NBD_FLAG_CAN_MULTI_CONN promises: several connections behave as one.
@Timeout(60)
class MultiConnectionTest {
  private static final int SIZE = 1 << 20;

  /// A disk that remembers, at each flush, which writes had been completed before it began.
  private static final class RecordingExport extends MemoryExport {
    private final Set<Long> completed = new TreeSet<>();
    private final List<Set<Long>> flushed = new ArrayList<>();
    private final List<String> durable = new ArrayList<>();

    RecordingExport() {
      super(SIZE, MemoryExport.WRITABLE);
    }

    @Override
    public void write(long offset, ByteBuffer data, Durability durability, Completion done) {
      synchronized (completed) {
        durable.add(durability.name());
      }
      super.write(
          offset,
          data,
          durability,
          new Completion() {
            @Override
            public void succeeded() {
              synchronized (completed) {
                completed.add(offset);
              }
              done.succeeded();
            }

            @Override
            public void failed(IOException error) {
              done.failed(error);
            }
          });
    }

    @Override
    public void flush(Completion done) {
      synchronized (completed) {
        flushed.add(new TreeSet<>(completed));
      }
      super.flush(done);
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"MC1", "F8"})
  void writeThatWasAnsweredIsSeenByEveryOtherConnection(Mode mode) throws IOException {
    try (TestServer server = TestServer.writable();
        Session one = Session.open(server, mode);
        Session two = Session.open(server, mode);
        Session three = Session.open(server, Mode.SIMPLE)) {
      Random random = new Random(17);
      byte[] oracle = new byte[SIZE];
      List<Session> sessions = List.of(one, two, three);
      for (int round = 0; round < 300; round++) {
        byte[] data = new byte[1 + random.nextInt(20_000)];
        random.nextBytes(data);
        int offset = random.nextInt(SIZE - data.length);
        System.arraycopy(data, 0, oracle, offset, data.length);
        sessions.get(round % 3).write(offset, data);
        int from = Math.max(0, offset - 100);
        int length = Math.min(SIZE - from, data.length + 200);
        assertArrayEquals(
            Arrays.copyOfRange(oracle, from, from + length),
            sessions.get((round + 1) % 3).read(from, length));
      }
    }
  }

  @Test
  @Rule({"MC2", "FL1"})
  void flushCoversEveryWriteThatAnyConnectionHadAnAnswerTo() throws Exception {
    RecordingExport disk = new RecordingExport();
    try (TestServer server = new TestServer(disk);
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      AtomicBoolean over = new AtomicBoolean();
      List<Future<?>> writers = new ArrayList<>();
      Set<Long> answered = new TreeSet<>();
      for (int index = 0; index < 3; index++) {
        long first = index * 100_000L;
        writers.add(threads.submit(writer(server, first, over, answered)));
      }
      try (Session flusher = Session.open(server, Mode.SIMPLE)) {
        for (int round = 0; round < 200; round++) {
          Set<Long> before;
          synchronized (answered) {
            before = new TreeSet<>(answered);
          }
          assertEquals(0, flusher.error(Nbd.CMD_FLUSH, 0, 0, 0));
          synchronized (disk.completed) {
            assertTrue(disk.flushed.getLast().containsAll(before), "round " + round);
          }
        }
      }
      over.set(true);
      for (Future<?> writer : writers) {
        writer.get();
      }
      assertEquals(200, disk.flushed.size(), "each flush was one of its own");
    }
  }

  private static Callable<Void> writer(
      TestServer server, long first, AtomicBoolean over, Set<Long> answered) {
    return () -> {
      try (Session session = Session.open(server, Mode.SIMPLE)) {
        for (long offset = first; !over.get() && offset < first + 99_000; offset++) {
          session.write(offset, new byte[] {1});
          synchronized (answered) {
            answered.add(offset);
          }
        }
        return null;
      }
    };
  }

  @Test
  @Rule({"MC2", "FL1"})
  void flushThatComesWhileOneRunsIsNotAnsweredByIt() throws IOException {
    try (TestServer server = TestServer.writable();
        Session one = Session.open(server, Mode.SIMPLE);
        Session two = Session.open(server, Mode.SIMPLE)) {
      server.disk.hold = true;
      one.send(Nbd.CMD_FLUSH, 0, 1, 0, 0);
      Awaitility.await().until(() -> server.disk.held.size() == 1);
      two.send(Nbd.CMD_FLUSH, 0, 2, 0, 0);
      Awaitility.await().until(() -> server.disk.held.size() == 2);
      server.disk.held.remove().run();
      assertEquals(1, one.reply(0).cookie());
      assertEquals(1, server.disk.held.size(), "the second one is still under way");
      server.disk.held.remove().run();
      assertEquals(2, two.reply(0).cookie());
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"MC3", "W1", "F3"})
  void forcedWriteIsDurableBeforeItsReply(Mode mode) throws IOException {
    RecordingExport disk = new RecordingExport();
    try (TestServer server = new TestServer(disk);
        Session session = Session.open(server, mode)) {
      assertEquals(0, session.error(Nbd.CMD_WRITE, Nbd.CMD_FLAG_FUA, 0, 1, (byte) 1));
      assertEquals(List.of("DURABLE"), disk.durable);
      session.write(0, new byte[] {2});
      assertEquals(List.of("DURABLE", "CACHED"), disk.durable);
      disk.hold = true;
      for (int command : new int[] {Nbd.CMD_TRIM, Nbd.CMD_WRITE_ZEROES}) {
        session.send(command, Nbd.CMD_FLAG_FUA, 5, 0, 512);
        Awaitility.await().until(() -> disk.held.size() == 1);
        assertTrue(disk.lastCall.endsWith("DURABLE"), disk.lastCall);
        // A reply that came before the completion would be the answer to this one.
        session.send(Nbd.CMD_READ, 0, 6, 0, 0);
        assertEquals(6, session.reply(0).cookie());
        disk.held.remove().run();
        assertEquals(5, session.reply(0).cookie());
      }
    }
  }

  @Test
  @Rule("MC4")
  void flushThatFailsFailsForThatClientWithAnInputOutputError() throws IOException {
    try (TestServer server = TestServer.writable();
        Session one = Session.open(server, Mode.SIMPLE);
        Session two = Session.open(server, Mode.STRUCTURED)) {
      server.disk.fault = done -> done.failed(new NbdException(NbdError.EIO, "fsync failed"));
      assertEquals(5, one.error(Nbd.CMD_FLUSH, 0, 0, 0));
      assertEquals("fsync failed", two.ask(Nbd.CMD_FLUSH, 0, 0, 0).text());
      assertEquals(5, one.error(Nbd.CMD_WRITE, Nbd.CMD_FLAG_FUA, 0, 1, (byte) 1));
    }
  }
}
