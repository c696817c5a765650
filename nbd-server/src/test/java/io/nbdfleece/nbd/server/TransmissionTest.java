// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.disc;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.write;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.server.RawPeer.Answer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// Commands and their errors, one rule each. The disk has 1 MiB.
class TransmissionTest {
  private static final int SIZE = 1 << 20;
  private static final int ALL_FLAGS = 0xffff;

  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    server = TestServer.writable();
    new Random(1).nextBytes(server.disk.disk);
    peer = server.open();
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private void reopen(Set<Ability> abilities) throws IOException {
    stop();
    server = new TestServer(new MemoryExport(SIZE, abilities));
    peer = server.open();
  }

  private int error(byte[] request) throws IOException {
    peer.send(request);
    return peer.reply().errorNumber();
  }

  private int error(int command, int flags, long offset, long length) throws IOException {
    return error(request(command, flags, 9, offset, length));
  }

  @Test
  @Rule("K1")
  void readReturnsTheBytes() throws IOException {
    peer.send(request(Nbd.CMD_READ, -5, 100, 5000));
    Answer answer = peer.reply(5000);
    assertEquals(-5, answer.cookie());
    assertArrayEquals(Arrays.copyOfRange(server.disk.disk, 100, 5100), answer.data());
  }

  @Test
  void structuredReadIsOneChunk() throws IOException {
    try (RawPeer structured = server.openStructured()) {
      structured.send(request(Nbd.CMD_READ, Nbd.CMD_FLAG_DF, 1, 100, 300_000));
      Answer answer = structured.reply();
      assertEquals(Nbd.REPLY_OFFSET_DATA, answer.type());
      assertEquals(Nbd.REPLY_FLAG_DONE, answer.flags());
      assertEquals(100, answer.buffer().getLong());
      assertArrayEquals(
          Arrays.copyOfRange(server.disk.disk, 100, 300_100),
          Arrays.copyOfRange(answer.data(), 8, answer.data().length));
    }
  }

  @Test
  @Rule("W1")
  void writesOfEverySizeReachTheDisk() throws IOException {
    Random random = new Random(2);
    byte[] oracle = server.disk.disk.clone();
    for (int length : new int[] {1, 511, 4096, 65536, 250_000, 262_144, 300_000, SIZE}) {
      byte[] data = new byte[length];
      random.nextBytes(data);
      System.arraycopy(data, 0, oracle, SIZE - length, length);
      assertEquals(0, error(write(3, SIZE - length, data)));
    }
    assertArrayEquals(oracle, server.disk.disk);
  }

  @Test
  @Rule({"W1", "C2"})
  void pipelinedWritesOfMixedSizesReachTheDisk() throws IOException {
    Random random = new Random(3);
    byte[] oracle = server.disk.disk.clone();
    for (int round = 0; round < 50; round++) {
      byte[][] writes = new byte[40][];
      for (int index = 0; index < writes.length; index++) {
        byte[] data = new byte[1 + random.nextInt(random.nextInt(10) == 0 ? 200_000 : 9000)];
        random.nextBytes(data);
        int offset = random.nextInt(SIZE - data.length);
        System.arraycopy(data, 0, oracle, offset, data.length);
        writes[index] = write(index, offset, data);
      }
      peer.send(RawPeer.concat(writes));
      for (int index = 0; index < writes.length; index++) {
        assertEquals(index, peer.reply().cookie());
      }
    }
    assertArrayEquals(oracle, server.disk.disk);
  }

  @Test
  @Rule({"C8", "MC3"})
  void forcedAccessReachesTheExport() throws IOException {
    assertEquals(0, error(request(Nbd.CMD_WRITE, Nbd.CMD_FLAG_FUA, 1, 0, 1, (byte) 7)));
    assertEquals("write DURABLE", server.disk.lastCall);
    assertEquals(0, error(Nbd.CMD_TRIM, Nbd.CMD_FLAG_FUA, 0, 512));
    assertEquals("trim DURABLE", server.disk.lastCall);
    assertEquals(0, error(Nbd.CMD_FLUSH, Nbd.CMD_FLAG_FUA, 0, 0));
    assertEquals("flush", server.disk.lastCall);
    assertEquals(0, error(Nbd.CMD_CACHE, Nbd.CMD_FLAG_FUA, 0, 512));
    assertEquals("cache", server.disk.lastCall);
    peer.send(request(Nbd.CMD_READ, Nbd.CMD_FLAG_FUA, 1, 0, 1));
    assertEquals(0, peer.reply(1).error());
  }

  @Test
  @Rule({"Z1", "Z2"})
  void zeroingFlagsReachTheExport() throws IOException {
    assertEquals(0, error(Nbd.CMD_WRITE_ZEROES, 0, 0, 512));
    assertEquals("zero MAY_PUNCH CACHED", server.disk.lastCall);
    assertEquals(0, error(Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_NO_HOLE, 0, 512));
    assertEquals("zero NO_HOLE CACHED", server.disk.lastCall);
    assertEquals(0, error(Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_FAST_ZERO, 0, 512));
    assertEquals("zero FAST_ONLY CACHED", server.disk.lastCall);
    assertEquals(
        0,
        error(
            Nbd.CMD_WRITE_ZEROES,
            Nbd.CMD_FLAG_FAST_ZERO | Nbd.CMD_FLAG_NO_HOLE | Nbd.CMD_FLAG_FUA,
            0,
            SIZE));
    assertEquals("zero FAST_ONLY_NO_HOLE DURABLE", server.disk.lastCall);
    assertArrayEquals(new byte[SIZE], server.disk.disk);
  }

  @Test
  @Rule("C5")
  void rangesPastTheEndAreInvalidAndWritesThereHaveNoSpace() throws IOException {
    long[][] ranges = {
      {SIZE, 1},
      {SIZE - 1, 2},
      {0, SIZE + 1L},
      {Long.MAX_VALUE, 1},
      {-1, 1},
      {-512, 512},
      {Long.MIN_VALUE, 0},
      {SIZE - 1, 0xffffffffL}
    };
    for (long[] range : ranges) {
      assertEquals(22, error(Nbd.CMD_READ, 0, range[0], range[1]));
      assertEquals(22, error(Nbd.CMD_TRIM, 0, range[0], range[1]));
      assertEquals(22, error(Nbd.CMD_CACHE, 0, range[0], range[1]));
      assertEquals(28, error(Nbd.CMD_WRITE_ZEROES, 0, range[0], range[1]));
      if (range[1] < 512) {
        byte[] data = new byte[(int) range[1]];
        assertEquals(28, error(request(Nbd.CMD_WRITE, 0, 9, range[0], range[1], data)));
      }
    }
    assertEquals(0, server.disk.started.get());
  }

  @Test
  @Rule("C9")
  void lengthZeroSucceedsWithoutTheExport() throws IOException {
    for (int command :
        new int[] {
          Nbd.CMD_READ, Nbd.CMD_WRITE, Nbd.CMD_TRIM, Nbd.CMD_CACHE, Nbd.CMD_WRITE_ZEROES
        }) {
      assertEquals(0, error(command, 0, SIZE, 0));
    }
    try (RawPeer structured = server.openStructured()) {
      structured.send(request(Nbd.CMD_READ, 1, 0, 0));
      assertEquals(Nbd.REPLY_NONE, structured.reply().type());
    }
    assertEquals(0, server.disk.started.get());
  }

  @Test
  @Rule("C4")
  void unknownCommandsAndFlagsAreInvalid() throws IOException {
    assertEquals(22, error(8, 0, 0, 0));
    assertEquals(22, error(65535, ALL_FLAGS, -1, -1));
    for (int command : new int[] {0, 3, 4, 5, 6, 7}) {
      assertEquals(22, error(command, 1 << 5, 0, 0), () -> "command " + command);
      assertEquals(22, error(command, 1 << 15, 0, 0), () -> "command " + command);
    }
    assertEquals(22, error(Nbd.CMD_READ, Nbd.CMD_FLAG_DF, 0, 1), "not without structured replies");
    assertEquals(22, error(Nbd.CMD_TRIM, Nbd.CMD_FLAG_NO_HOLE, 0, 1));
    assertEquals(22, error(request(Nbd.CMD_WRITE, Nbd.CMD_FLAG_NO_HOLE, 9, 0, 3, new byte[3])));
    assertEquals(22, error(Nbd.CMD_FLUSH, 0, 0, 1));
    assertEquals(22, error(Nbd.CMD_FLUSH, 0, 1, 0));
    assertEquals(22, error(Nbd.CMD_BLOCK_STATUS, 0, 0, 512), "not without structured replies");
    assertEquals(0, server.disk.started.get());
  }

  @Test
  @Rule("C4")
  void commandsNotAdvertisedAreInvalid() throws IOException {
    reopen(Set.of(Ability.WRITE));
    assertEquals(22, error(Nbd.CMD_FLUSH, 0, 0, 0));
    assertEquals(22, error(Nbd.CMD_TRIM, 0, 0, 1));
    assertEquals(22, error(Nbd.CMD_CACHE, 0, 0, 1));
    assertEquals(22, error(Nbd.CMD_WRITE_ZEROES, 0, 0, 1));
    assertEquals(22, error(Nbd.CMD_READ, Nbd.CMD_FLAG_FUA, 0, 1));
    assertEquals(0, error(write(1, 0, new byte[10])));
  }

  @Test
  @Rule("C6")
  void readOnlyExportRefusesChangesAndTakesTheirPayload() throws IOException {
    reopen(Set.of(Ability.FLUSH));
    assertEquals(1, error(write(1, 0, new byte[300_000])));
    assertEquals(1, error(Nbd.CMD_TRIM, 0, 0, 1));
    assertEquals(1, error(Nbd.CMD_WRITE_ZEROES, 0, 0, 1));
    assertEquals(0, error(Nbd.CMD_FLUSH, 0, 0, 0));
  }

  @Test
  void exportThatOnlyTrimsRefusesWrites() throws IOException {
    reopen(Set.of(Ability.TRIM));
    assertEquals(1, error(write(1, 0, new byte[10])));
    assertEquals(1, error(Nbd.CMD_WRITE_ZEROES, 0, 0, 1));
    assertEquals(0, error(Nbd.CMD_TRIM, 0, 0, 1));
  }

  @Test
  @Rule("C10")
  void tooLongPayloadIsTakenAndRefused() throws IOException {
    MemoryExport big = new MemoryExport(34 << 20, MemoryExport.WRITABLE);
    try (TestServer other = new TestServer(big);
        RawPeer client = other.open()) {
      client.send(write(1, 0, new byte[(32 << 20) + 1]), write(2, 0, new byte[32 << 20]));
      assertEquals(22, client.reply().error());
      assertEquals(0, client.reply().error());
      client.send(request(Nbd.CMD_READ, 3, 0, (32 << 20) + 1));
      assertEquals(22, client.reply().error());
      client.send(request(Nbd.CMD_READ, 4, 0, 32 << 20));
      assertEquals(4, client.reply(32 << 20).cookie());
      client.send(request(Nbd.CMD_WRITE, 5, 0, (64 << 20) + 1));
      assertTrue(client.atEnd());
    }
  }

  @Test
  @Rule("C1")
  void wrongMagicEndsTheConnection() throws IOException {
    peer.send(new byte[28]);
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule("D2")
  void disconnectIsNotValidated() throws IOException {
    peer.send(request(Nbd.CMD_DISC, ALL_FLAGS, 1, -1, 77));
    assertTrue(peer.atEnd());
  }

  @Test
  @Rule({"H6", "H8"})
  void errorOfTheExportReachesTheClientWithItsText() throws IOException {
    server.disk.fault = done -> done.failed(new NbdException(NbdError.ENOSPC, "tier is full"));
    assertEquals(28, error(write(1, 0, new byte[10])));
    try (RawPeer structured = server.openStructured()) {
      structured.send(request(Nbd.CMD_READ, 1, 0, 10));
      Answer answer = structured.reply();
      assertEquals(Nbd.REPLY_ERROR, answer.type());
      assertEquals(28, answer.errorNumber());
      assertEquals("tier is full", answer.errorText());
      server.disk.fault = done -> done.failed(new IOException("\u00e4".repeat(5000)));
      structured.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
      answer = structured.reply();
      assertEquals(5, answer.errorNumber());
      assertEquals(
          4096, answer.errorText().getBytes(java.nio.charset.StandardCharsets.UTF_8).length);
    }
  }

  @Test
  @Rule("C7")
  void exportThatThrowsFailsThatRequestOnly() throws IOException {
    server.disk.fault =
        done -> {
          throw new IllegalStateException("bug");
        };
    assertEquals(5, error(write(1, 0, new byte[10])));
    assertEquals(5, error(Nbd.CMD_READ, 0, 0, 10));
    server.disk.fault = null;
    assertEquals(0, error(write(1, 0, new byte[10])));
  }

  @Test
  void secondCompletionIsIgnored() throws IOException {
    server.disk.fault =
        done -> {
          done.succeeded();
          done.failed(new IOException("too late"));
          done.succeeded();
        };
    assertEquals(0, error(write(1, 0, new byte[10])));
    server.disk.fault = null;
    peer.send(request(Nbd.CMD_FLUSH, 44, 0, 0));
    assertEquals(44, peer.reply().cookie());
    peer.send(disc());
    assertTrue(peer.atEnd());
  }
}
