// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import io.nbdfleece.nbd.server.RawPeer.Answer;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.server.Session.Mode;
import io.nbdfleece.nbd.server.Session.Reply;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Metadata contexts: how they are listed and selected, and NBD_CMD_BLOCK_STATUS.
@Timeout(60)
class ContextConformanceTest {
  private static final String BASE = "base:allocation";
  private static final String BITMAP = "qemu:dirty-bitmap:b0";
  private static final String OWN = "x-nbdfleece:tier";

  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    server =
        new TestServer(
            new MemoryExport(
                1 << 20,
                MemoryExport.WRITABLE,
                List.of(BASE, BITMAP, "qemu:allocation-depth", OWN)));
    peer = server.connect();
    peer.greet(3);
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  private List<String> list(String... queries) throws IOException {
    List<OptionAnswer> answers = peer.ask(Nbd.OPT_LIST_META_CONTEXT, queries("disk", queries));
    assertEquals(Nbd.REP_ACK, answers.getLast().type());
    return answers.subList(0, answers.size() - 1).stream()
        .map(answer -> answer.text().substring(4))
        .toList();
  }

  private int finalType(int option, byte[]... data) throws IOException {
    return peer.ask(option, data).getLast().type();
  }

  @Test
  @Rule({"M4", "M5", "M6", "M11"})
  void listKnowsWildcardsAndItsIdsAreZero() throws IOException {
    assertEquals(4, list().size());
    assertEquals(List.of(BASE), list("base:"));
    assertEquals(List.of(BITMAP, "qemu:allocation-depth"), list("qemu:"));
    assertEquals(List.of(BITMAP), list("qemu:dirty-bitmap:"));
    for (OptionAnswer answer : peer.ask(Nbd.OPT_LIST_META_CONTEXT, queries("disk"))) {
      if (answer.type() == Nbd.REP_META_CONTEXT) {
        assertEquals(0, answer.buffer().getInt());
      }
    }
  }

  @Test
  @Rule({"M3", "M10", "M12"})
  void unknownNamespacesAndLeavesAreIgnored() throws IOException {
    assertEquals(List.of(), list("x-other:", "x-other:thing", "base:nothing", "none", ":", "x-"));
    assertEquals(List.of(BASE), list("x-other:thing", BASE, "base:nothing"));
    assertEquals(Nbd.REP_ACK, finalType(Nbd.OPT_STRUCTURED_REPLY));
    assertEquals(
        2, peer.ask(Nbd.OPT_SET_META_CONTEXT, queries("disk", "x-other:y", OWN, "base:no")).size());
  }

  @Test
  @Rule({"M5", "M6"})
  void selectedContextsHaveIdsOfTheirOwnAndNoWildcardSelects() throws IOException {
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    List<OptionAnswer> answers =
        peer.ask(
            Nbd.OPT_SET_META_CONTEXT, queries("disk", "base:", "qemu:", BITMAP, BASE, OWN, BASE));
    Set<Integer> ids = new HashSet<>();
    for (OptionAnswer answer : answers.subList(0, answers.size() - 1)) {
      ids.add(answer.buffer().getInt());
    }
    assertEquals(3, ids.size());
    assertEquals(4, answers.size());
  }

  @Test
  @Rule("M1")
  void nothingIsSelectedBeforeStructuredRepliesAndListingIsAllowed() throws IOException {
    assertEquals(Nbd.REP_ERR_INVALID, finalType(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)));
    assertEquals(4, list().size());
  }

  @Test
  @Rule("M2")
  void lengthsThatDoNotFitAreInvalidAndTooManyQueriesTooBig() throws IOException {
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    byte[] good = queries("disk", BASE, BITMAP);
    for (int at : new int[] {0, 8, 12, 12 + 4 + BASE.length()}) {
      for (int value : new int[] {0x7fffffff, -1, 0x80000000, good.length, good.length - at}) {
        byte[] bad = good.clone();
        ByteBuffer.wrap(bad).putInt(at, value);
        for (int option : new int[] {Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT}) {
          assertEquals(Nbd.REP_ERR_INVALID, finalType(option, bad), () -> "value " + value);
        }
      }
    }
    String[] many = new String[20_000];
    java.util.Arrays.fill(many, BASE);
    assertEquals(Nbd.REP_ERR_TOO_BIG, finalType(Nbd.OPT_SET_META_CONTEXT, queries("disk", many)));
    assertEquals(4, list().size());
  }

  @Test
  @Rule("M13")
  void unknownExportIsUnknownHere() throws IOException {
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    for (int option : new int[] {Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT}) {
      assertEquals(Nbd.REP_ERR_UNKNOWN, finalType(option, queries("none", BASE)));
    }
  }

  @Test
  @Rule({"M4", "M7", "M9"})
  void everyNewSelectionReplacesTheOldOneEvenWhenItFails() throws IOException {
    List<byte[]> replacing =
        List.of(
            queries("disk"),
            queries("none", BASE),
            queries("disk", "bad\0"),
            bytes(out -> out.writeInt(-1)));
    for (byte[] second : replacing) {
      try (RawPeer client = server.connect()) {
        client.greet(3);
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        assertEquals(2, client.ask(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)).size());
        client.ask(Nbd.OPT_SET_META_CONTEXT, second);
        client.go();
        client.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
        assertEquals(22, client.reply().errorNumber());
      }
    }
  }

  /// An export whose map is a list of extents of random lengths.
  private static final class MappedExport extends MemoryExport {
    private final long[] flags;
    private final int unit;

    MappedExport(int unit, long... flags) {
      super(unit * flags.length, MemoryExport.WRITABLE, List.of(BASE, BITMAP));
      this.flags = flags;
      this.unit = unit;
    }

    @Override
    public void blockStatus(
        long offsetBytes, long lengthBytes, List<String> contexts, int max, StatusCompletion done) {
      List<Extent> extents = new ArrayList<>();
      long at = offsetBytes;
      while (at < offsetBytes + lengthBytes) {
        int index = (int) (at / unit);
        long end = Math.min((index + 1L) * unit, offsetBytes + lengthBytes);
        extents.add(new Extent(end - at, flags[index]));
        at = end;
      }
      done.succeeded(contexts.stream().map(name -> new ContextExtents(name, extents)).toList());
    }
  }

  /// Checks the shape of a status reply and returns the bytes that each context covered.
  private static long assertShape(Reply reply, Mode mode, boolean one, long length, int contexts) {
    assertEquals(contexts, reply.chunks().size());
    Set<Integer> ids = new HashSet<>();
    Set<Long> coverages = new HashSet<>();
    for (Answer chunk : reply.chunks()) {
      List<long[]> descriptors = Session.descriptors(chunk, mode);
      assertTrue(ids.add(chunk.buffer().getInt()), "one chunk per context");
      assertTrue(!descriptors.isEmpty() && descriptors.size() <= 1 << 20);
      assertTrue(!one || descriptors.size() == 1);
      long sum = 0;
      long before = -1;
      for (long[] descriptor : descriptors) {
        assertTrue(descriptor[0] > 0, "no empty descriptor");
        assertTrue(sum < length, "all but the last end inside of the request");
        assertTrue(before != descriptor[1], "equal neighbours are one");
        before = descriptor[1];
        sum += descriptor[0];
      }
      assertTrue(!one || sum <= length);
      coverages.add(sum);
    }
    assertEquals(1, coverages.size(), "every context covers the same");
    return coverages.iterator().next();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "SIMPLE")
  @Rule({"B1", "B2", "B3", "B4", "B5", "H4", "H5", "X1", "X6"})
  void statusOfRandomRangesAgreesWithTheMap(Mode mode) throws IOException {
    long seed = 11;
    Random random = new Random(seed);
    long[] flags = random.ints(64, 0, 3).mapToLong(flag -> flag == 1 ? 3 : flag).toArray();
    try (TestServer mapped = new TestServer(new MappedExport(4096, flags));
        Session session = Session.open(mapped, mode, BASE, BITMAP)) {
      for (int round = 0; round < 500; round++) {
        int offset = random.nextInt(64 * 4096 - 1);
        int length = 1 + random.nextInt(64 * 4096 - offset);
        boolean one = random.nextBoolean();
        Reply reply =
            session.ask(Nbd.CMD_BLOCK_STATUS, one ? Nbd.CMD_FLAG_REQ_ONE : 0, offset, length);
        assertEquals(0, reply.error());
        long covered = assertShape(reply, mode, one, length, 2);
        assertTrue(one || covered >= length, "nothing is left out");
        long at = offset;
        for (long[] descriptor : Session.descriptors(reply.chunks().getFirst(), mode)) {
          for (long byteAt = at;
              byteAt < Math.min(at + descriptor[0], offset + length);
              byteAt += 512) {
            assertEquals(flags[(int) (byteAt / 4096)], descriptor[1], "seed " + seed);
          }
          at += descriptor[0];
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "SIMPLE")
  @Rule({"B7", "H6", "H8"})
  void statusThatFailsIsAnErrorAndNeverAllClean(Mode mode) throws IOException {
    MemoryExport failing =
        new MemoryExport(4096, MemoryExport.WRITABLE, List.of(BITMAP)) {
          @Override
          public void blockStatus(
              long offset, long length, List<String> contexts, int max, StatusCompletion done) {
            done.failed(new NbdException(NbdError.EIO, "the bitmap is lost"));
          }
        };
    try (TestServer other = new TestServer(failing);
        Session session = Session.open(other, mode, BITMAP)) {
      Reply reply = session.ask(Nbd.CMD_BLOCK_STATUS, 0, 0, 4096);
      assertEquals(5, reply.error());
      assertEquals("the bitmap is lost", reply.text());
      assertEquals(1, reply.chunks().size());
    }
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "SIMPLE")
  @Rule({"M8", "M9"})
  void statusWithoutAContextIsInvalidAndTheConnectionGoesOn(Mode mode) throws IOException {
    try (Session session = Session.open(server, mode)) {
      assertEquals(22, session.error(Nbd.CMD_BLOCK_STATUS, 0, 0, 512));
      assertEquals(0, session.error(Nbd.CMD_FLUSH, 0, 0, 0));
    }
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    peer.ask(Nbd.OPT_SET_META_CONTEXT, queries("", BASE));
    peer.go();
    peer.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
    assertEquals(22, peer.reply().errorNumber(), "selected for another name");
  }
}
