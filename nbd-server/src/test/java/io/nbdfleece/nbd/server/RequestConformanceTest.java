// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.server.Session.Mode;
import io.nbdfleece.nbd.server.Session.Reply;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Requests in each mode of replies: what is refused, with which error, and what replies look like.
@Timeout(60)
class RequestConformanceTest {
  private static final int SIZE = 1 << 20;
  private static final int[] WITH_RANGE = {
    Nbd.CMD_READ, Nbd.CMD_WRITE, Nbd.CMD_TRIM, Nbd.CMD_CACHE, Nbd.CMD_WRITE_ZEROES
  };

  private TestServer server;

  @BeforeEach
  void start() throws IOException {
    server = TestServer.writable();
    new Random(7).nextBytes(server.disk.disk);
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  private static byte[] payload(int command, long length) {
    return new byte[command == Nbd.CMD_WRITE ? (int) length : 0];
  }

  @ParameterizedTest
  @EnumSource
  @Rule("C1")
  void everyWrongMagicEndsTheConnection(Mode mode) throws IOException {
    for (int bit = 0; bit < 32; bit++) {
      try (Session session = Session.open(server, mode)) {
        byte[] request = session.bytes(Nbd.CMD_READ, 0, 1, 0, 512);
        request[bit / 8] ^= (byte) (1 << bit % 8);
        session.raw.send(request);
        assertTrue(session.raw.atEnd());
      }
    }
    assertEquals(0, server.disk.started.get());
  }

  @ParameterizedTest
  @EnumSource
  @Rule("C2")
  void cookiesAreOpaqueAndMayBeEqual(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      long[] cookies = {0, -1, Long.MIN_VALUE, 1L << 32, 7, 7, 7, 0x67446698668e33efL};
      for (long cookie : cookies) {
        for (int command : new int[] {Nbd.CMD_READ, Nbd.CMD_FLUSH, 99}) {
          session.send(command, 0, cookie, 0, command == Nbd.CMD_FLUSH ? 0 : 512);
          assertEquals(cookie, session.reply(command == Nbd.CMD_READ ? 512 : 0).cookie());
        }
      }
      server.disk.hold = true;
      session.send(Nbd.CMD_WRITE, 0, 7, 0, 512, new byte[512]);
      session.send(Nbd.CMD_TRIM, 0, 7, 0, 512);
      Awaitility.await().until(() -> server.disk.held.size() == 2);
      server.disk.held.remove().run();
      server.disk.held.remove().run();
      assertEquals(7, session.reply(0).cookie());
      assertEquals(7, session.reply(0).cookie());
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C3", "C5", "H6", "H8"})
  void rangesPastTheEndHaveTheirErrors(Mode mode) throws IOException {
    long[][] ranges = {
      {SIZE, 1},
      {SIZE - 1, 2},
      {SIZE + 1L, 0},
      {1L << 32, 512},
      {Long.MAX_VALUE, 1},
      {Long.MAX_VALUE - 511, 512},
      {-1, 1},
      {-512, 512},
      {-512, 1024},
      {Long.MIN_VALUE, 1}
    };
    try (Session session = Session.open(server, mode, contexts(mode))) {
      for (long[] range : ranges) {
        for (int command : WITH_RANGE) {
          boolean writes = command == Nbd.CMD_WRITE || command == Nbd.CMD_WRITE_ZEROES;
          Reply reply = session.ask(command, 0, range[0], range[1], payload(command, range[1]));
          assertEquals(writes ? 28 : 22, reply.error(), () -> command + Arrays.toString(range));
          assertEquals(mode.hasChunks(), !reply.text().isEmpty());
        }
        if (mode.hasChunks()) {
          assertEquals(22, session.error(Nbd.CMD_BLOCK_STATUS, 0, range[0], range[1]));
        }
      }
    }
    assertEquals(0, server.disk.started.get());
  }

  private static String[] contexts(Mode mode) {
    return mode.hasChunks() ? new String[] {ExportInfo.BASE_ALLOCATION} : new String[0];
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C4", "RS1", "CA1", "Z3", "C3"})
  void unknownCommandsAndFlagsAreInvalidAndTheConnectionGoesOn(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode, contexts(mode))) {
      for (int command : new int[] {8, 9, 255, 0x7fff, 0x8000, 0xffff}) {
        assertEquals(22, session.error(command, 0, 0, 512));
      }
      for (int bit = 6; bit < 16; bit++) {
        for (int command : new int[] {0, 1, 3, 4, 5, 6, 7}) {
          int length = command == Nbd.CMD_FLUSH ? 0 : 512;
          assertEquals(22, session.error(command, 1 << bit, 0, length, payload(command, length)));
        }
      }
      int[][] misplaced = {
        {Nbd.CMD_READ, Nbd.CMD_FLAG_NO_HOLE},
        {Nbd.CMD_READ, Nbd.CMD_FLAG_REQ_ONE},
        {Nbd.CMD_READ, Nbd.CMD_FLAG_FAST_ZERO},
        {Nbd.CMD_WRITE, Nbd.CMD_FLAG_DF},
        {Nbd.CMD_WRITE, Nbd.CMD_FLAG_FAST_ZERO},
        {Nbd.CMD_TRIM, Nbd.CMD_FLAG_FAST_ZERO},
        {Nbd.CMD_CACHE, Nbd.CMD_FLAG_DF},
        {Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_REQ_ONE},
        {Nbd.CMD_BLOCK_STATUS, Nbd.CMD_FLAG_NO_HOLE}
      };
      for (int[] pair : misplaced) {
        assertEquals(22, session.error(pair[0], pair[1], 0, 512, payload(pair[0], 512)));
      }
      assertEquals(0, session.error(Nbd.CMD_FLUSH, 0, 0, 0));
    }
    assertEquals(1, server.disk.started.get());
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C6", "F1"})
  void readOnlyExportRefusesEveryChangeAndTakesThePayload(Mode mode) throws IOException {
    try (TestServer readOnly =
            new TestServer(new MemoryExport(SIZE, Set.of(Ability.FLUSH, Ability.FUA)));
        Session session = Session.open(readOnly, mode)) {
      for (int length : new int[] {0, 1, 4096, 300_000, SIZE}) {
        assertEquals(1, session.error(Nbd.CMD_WRITE, 0, 0, length, new byte[length]));
        assertEquals(1, session.error(Nbd.CMD_TRIM, Nbd.CMD_FLAG_FUA, 0, length));
        assertEquals(1, session.error(Nbd.CMD_WRITE_ZEROES, 0, 0, length));
      }
      assertArrayEquals(new byte[SIZE], session.read(0, SIZE));
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule("C7")
  void onlyErrorsOfTheSpecificationAreOnTheWire(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      for (NbdError error : NbdError.values()) {
        server.disk.fault = done -> done.failed(new NbdException(error, "on purpose"));
        // Those have a meaning of their own with other requests only.
        boolean foreign =
            Set.of(NbdError.ENOMEM, NbdError.ENOTSUP, NbdError.EOVERFLOW).contains(error);
        int expected = foreign ? 5 : error.number();
        assertEquals(expected, session.error(Nbd.CMD_WRITE, 0, 0, 512, new byte[512]));
        assertEquals(expected, session.error(Nbd.CMD_READ, 0, 0, 512));
      }
      List<IOException> others =
          List.of(
              new IOException("No space left on device"),
              new java.io.EOFException(),
              new java.nio.file.AccessDeniedException("/x"),
              new java.nio.channels.ClosedChannelException());
      for (IOException other : others) {
        server.disk.fault = done -> done.failed(other);
        assertEquals(5, session.error(Nbd.CMD_READ, 0, 0, 512), "never EINVAL");
        assertEquals(5, session.error(Nbd.CMD_FLUSH, 0, 0, 0));
      }
      server.disk.fault =
          done -> {
            throw new IllegalArgumentException("a bug");
          };
      assertEquals(5, session.error(Nbd.CMD_READ, 0, 0, 512));
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C8", "F3"})
  void forcedAccessIsAcceptedOnEveryCommand(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode, contexts(mode))) {
      for (int command : WITH_RANGE) {
        int flags = Nbd.CMD_FLAG_FUA;
        assertEquals(0, session.error(command, flags, 0, 512, payload(command, 512)));
      }
      assertEquals(0, session.error(Nbd.CMD_FLUSH, Nbd.CMD_FLAG_FUA, 0, 0));
      if (mode.hasChunks()) {
        assertEquals(0, session.error(Nbd.CMD_BLOCK_STATUS, Nbd.CMD_FLAG_FUA, 0, 512));
      }
      session.send(Nbd.CMD_DISC, Nbd.CMD_FLAG_FUA, 0, 0, 0);
      assertTrue(session.raw.atEnd());
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C9", "C3", "H1"})
  void lengthZeroSucceedsAnywhereUpToTheEnd(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode, contexts(mode))) {
      for (long offset : new long[] {0, 512, SIZE}) {
        for (int command : WITH_RANGE) {
          assertEquals(0, session.error(command, 0, offset, 0));
        }
        if (mode.hasChunks()) {
          Reply reply = session.ask(Nbd.CMD_READ, 0, offset, 0);
          assertEquals(Nbd.REPLY_NONE, reply.chunks().getFirst().type());
          // The specification leaves the answer open; the connection must survive.
          assertEquals(0, session.error(Nbd.CMD_BLOCK_STATUS, 0, offset, 0));
        }
      }
    }
    assertEquals(0, server.disk.started.get());
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C10", "C11"})
  void longestPayloadIs32MegabytesAndLongerIsInvalidNotTheEnd(Mode mode) throws IOException {
    int most = 32 << 20;
    try (TestServer big = new TestServer(new MemoryExport(40 << 20, MemoryExport.WRITABLE));
        Session session = Session.open(big, mode)) {
      assertEquals(0, session.error(Nbd.CMD_WRITE, 0, 0, most, new byte[most]));
      if (mode != Mode.EXTENDED) {
        // There it is the length that is wrong, so there is nothing to consume.
        assertEquals(22, session.error(Nbd.CMD_WRITE, 0, 0, most + 1, new byte[most + 1]));
      }
      assertEquals(0, session.ask(Nbd.CMD_READ, 0, 0, most).error());
      assertEquals(22, session.error(Nbd.CMD_READ, 0, 0, most + 1));
      assertEquals(22, session.error(Nbd.CMD_READ, 0, 0, 0xffffffffL));
      for (int command : new int[] {Nbd.CMD_TRIM, Nbd.CMD_CACHE, Nbd.CMD_WRITE_ZEROES}) {
        assertEquals(0, session.error(command, 0, 0, 40 << 20), "no limit of payload here");
        int error = session.error(command, 0, 0, 0xffffffffL);
        assertEquals(command == Nbd.CMD_WRITE_ZEROES ? 28 : 22, error);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C12", "W1"})
  void payloadCutShortChangesNothingAndAWholeOneIsOnTheDiskBeforeTheReply(Mode mode)
      throws IOException {
    byte[] data = new byte[70_000];
    Arrays.fill(data, (byte) 0x55);
    byte[] before = server.disk.disk.clone();
    for (int missing : new int[] {1, 100, 69_999, 70_000}) {
      try (Session session = Session.open(server, mode)) {
        byte[] request = session.bytes(Nbd.CMD_WRITE, 0, 1, 0, data.length, data);
        session.raw.send(Arrays.copyOf(request, request.length - missing));
        session.raw.socket.shutdownOutput();
        assertTrue(session.raw.atEnd());
      }
    }
    assertArrayEquals(before, server.disk.disk);
    try (Session session = Session.open(server, mode)) {
      session.write(5, data);
      assertArrayEquals(data, Arrays.copyOfRange(server.disk.disk, 5, 5 + data.length));
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"C13", "D1"})
  void repliesComeInTheOrderOfCompletionAndAllOfThemBeforeTheEnd(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      server.disk.hold = true;
      for (int index = 0; index < 40; index++) {
        session.send(Nbd.CMD_READ, 0, index, index * 512L, 512);
      }
      session.send(Nbd.CMD_DISC, 0, 99, 0, 0);
      Awaitility.await().until(() -> server.disk.held.size() == 40);
      Runnable[] held = server.disk.held.toArray(new Runnable[0]);
      server.disk.held.clear();
      for (int index = 39; index >= 0; index--) {
        held[index].run();
      }
      for (int index = 39; index >= 0; index--) {
        Reply reply = session.reply(512);
        assertEquals(index, reply.cookie());
        assertArrayEquals(
            Arrays.copyOfRange(server.disk.disk, index * 512, index * 512 + 512),
            reply.content(index * 512L, 512));
      }
      assertTrue(session.raw.atEnd(), "and NBD_CMD_DISC has no reply");
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule("D2")
  void disconnectIsObeyedWhateverItsFields(Mode mode) throws IOException {
    long[][] fields = {{0xffff, -1, 0xffffffffL}, {0, 1, 1}, {1, 0, 0}, {0x20, SIZE, 512}};
    for (long[] field : fields) {
      try (Session session = Session.open(server, mode)) {
        session.raw.send(
            RawPeer.concat(
                session.bytes(Nbd.CMD_FLUSH, 0, 1, 0, 0),
                session.bytes(Nbd.CMD_DISC, (int) field[0], 2, field[1], field[2]),
                session.bytes(Nbd.CMD_FLUSH, 0, 3, 0, 0)));
        assertEquals(1, session.reply(0).cookie());
        assertTrue(session.raw.atEnd());
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule("FL2")
  void flushWithARangeIsInvalid(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      assertEquals(22, session.error(Nbd.CMD_FLUSH, 0, 0, 512));
      assertEquals(22, session.error(Nbd.CMD_FLUSH, 0, 512, 0));
      assertEquals(0, session.error(Nbd.CMD_FLUSH, 0, 0, 0));
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"TR1", "CA1", "Z1", "Z2", "F6", "F10"})
  void zeroingTrimmingAndCachingDoWhatTheySay(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      byte[] oracle = server.disk.disk.clone();
      assertEquals(0, session.error(Nbd.CMD_CACHE, 0, 0, SIZE));
      assertEquals("cache", server.disk.lastCall);
      assertArrayEquals(oracle, session.read(0, SIZE));
      assertEquals(0, session.error(Nbd.CMD_TRIM, 0, 1, 4097));
      assertEquals("trim CACHED", server.disk.lastCall);
      assertEquals(0, session.error(Nbd.CMD_WRITE_ZEROES, 0, 10_001, 5000));
      Arrays.fill(oracle, 1, 4098, (byte) 0);
      Arrays.fill(oracle, 10_001, 15_001, (byte) 0);
      assertArrayEquals(oracle, session.read(0, SIZE));
      assertEquals(0, session.error(Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_NO_HOLE, 0, 512));
      assertEquals("zero NO_HOLE CACHED", server.disk.lastCall);
      byte[] now = server.disk.disk.clone();
      server.disk.fault = done -> done.failed(new NbdException(NbdError.ENOTSUP, "not fast"));
      assertEquals(95, session.error(Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_FAST_ZERO, 0, SIZE));
      assertArrayEquals(now, server.disk.disk);
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"K1", "K2", "K5", "H2"})
  void readsOfAnyRangeComeWholeWithTheirBytes(Mode mode) throws IOException {
    Random random = new Random(21);
    Arrays.fill(server.disk.disk, 100_000, 400_000, (byte) 0);
    try (Session session = Session.open(server, mode)) {
      for (int round = 0; round < 300; round++) {
        int offset = random.nextInt(SIZE);
        int length = 1 + random.nextInt(Math.min(SIZE - offset, 1 << random.nextInt(21)));
        Reply reply = session.ask(Nbd.CMD_READ, 0, offset, length);
        assertArrayEquals(
            Arrays.copyOfRange(server.disk.disk, offset, offset + length),
            reply.content(offset, length));
        assertTrue(reply.chunks().stream().allMatch(c -> c.data().length <= (32 << 20) + 8));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "SIMPLE")
  @Rule({"K4", "F7"})
  void doNotFragmentMakesOneContentChunkOfAnyLength(Mode mode) throws IOException {
    Arrays.fill(server.disk.disk, 4096, SIZE / 2, (byte) 0);
    try (Session session = Session.open(server, mode)) {
      for (int length : new int[] {1, 512, 64 << 10, (64 << 10) + 1, SIZE}) {
        Reply reply = session.ask(Nbd.CMD_READ, Nbd.CMD_FLAG_DF, 0, length);
        assertEquals(1, reply.chunks().size());
        assertEquals(Nbd.REPLY_OFFSET_DATA, reply.chunks().getFirst().type());
        assertArrayEquals(Arrays.copyOf(server.disk.disk, length), reply.content(0, length));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"K3", "W2", "H7"})
  void errorsComeInsteadOfDataAndNeverBehindIt(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      server.disk.fault = done -> done.failed(new NbdException(NbdError.EIO, "broken"));
      for (int length : new int[] {512, SIZE}) {
        Reply reply = session.ask(Nbd.CMD_READ, 0, 0, length);
        assertEquals(5, reply.error());
        assertEquals(1, reply.chunks().size(), "the error and nothing else");
      }
      assertEquals(5, session.error(Nbd.CMD_WRITE, 0, 0, 512, new byte[512]));
      server.disk.fault = null;
      assertEquals(0, session.error(Nbd.CMD_READ, 0, 0, 512), "and the connection goes on");
    }
  }

  @Test
  @Rule({"R2", "H9"})
  void onlyWhoAgreedGetsChunks() throws IOException {
    try (Session simple = Session.open(server, Mode.SIMPLE);
        Session structured = Session.open(server, Mode.STRUCTURED)) {
      Set<Boolean> kinds = new HashSet<>();
      for (int length : new int[] {0, 1, 100_000}) {
        kinds.add(simple.ask(Nbd.CMD_READ, 0, 0, length).isSimple());
        kinds.add(!structured.ask(Nbd.CMD_READ, 0, 0, length).isSimple());
      }
      kinds.add(simple.ask(Nbd.CMD_READ, 0, SIZE, 1).isSimple());
      kinds.add(!structured.ask(Nbd.CMD_READ, 0, SIZE, 1).isSimple());
      assertEquals(Set.of(true), kinds);
    }
  }
}
