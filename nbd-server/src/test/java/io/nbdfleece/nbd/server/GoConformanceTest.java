// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.server.Session.Mode;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// NBD_OPT_INFO, NBD_OPT_GO, what they tell, and what the transmission flags promise.
@Timeout(60)
class GoConformanceTest {
  private TestServer server;
  private RawPeer peer;

  @BeforeEach
  void start() throws IOException {
    server = TestServer.writable();
    peer = server.connect();
  }

  @AfterEach
  void stop() throws IOException {
    peer.close();
    server.close();
  }

  /// The information items, without the acknowledgement.
  private List<OptionAnswer> info(int option, byte[] data) throws IOException {
    List<OptionAnswer> answers = peer.ask(option, data);
    assertEquals(Nbd.REP_ACK, answers.getLast().type());
    return answers.subList(0, answers.size() - 1);
  }

  private static List<String> texts(List<OptionAnswer> items) {
    return items.stream().map(item -> Arrays.toString(item.data())).toList();
  }

  @Test
  @Rule({"I1", "N1"})
  void infoAndGoSendTheExportItemOnceWithTwelveBytes() throws IOException {
    peer.greet(3);
    for (int option : new int[] {Nbd.OPT_INFO, Nbd.OPT_GO}) {
      List<OptionAnswer> items = info(option, go("disk"));
      List<OptionAnswer> exports =
          items.stream().filter(item -> item.buffer().getShort() == Nbd.INFO_EXPORT).toList();
      assertEquals(1, exports.size());
      ByteBuffer item = exports.getFirst().buffer();
      assertEquals(12, item.remaining());
      assertEquals(1 << 20, item.getLong(2));
    }
  }

  @Test
  @Rule({"I4", "N2", "N3", "N4"})
  void unknownInformationIsIgnoredAndKnownIsSentOnce() throws IOException {
    peer.greet(3);
    int[] types = new int[20_000];
    Arrays.setAll(types, index -> index % 4 == 0 ? 1 + index % 3 : 4 + index * 3);
    List<OptionAnswer> items = info(Nbd.OPT_INFO, go("disk", types));
    assertEquals(4, items.size(), "each known type once");
    for (OptionAnswer item : items) {
      switch (item.buffer().getShort()) {
        case Nbd.INFO_NAME -> assertEquals("disk", item.text().substring(2));
        case Nbd.INFO_DESCRIPTION -> assertEquals("memory disk", item.text().substring(2));
        case Nbd.INFO_BLOCK_SIZE -> assertBlockSizes(item.buffer());
        default -> assertEquals(12, item.data().length);
      }
    }
  }

  @Test
  @Rule("N2")
  void nameOfTheDefaultExportIsTheListedOne() throws IOException {
    peer.greet(3);
    List<OptionAnswer> items = info(Nbd.OPT_INFO, go("", Nbd.INFO_NAME));
    assertEquals("\0\1disk", items.getLast().text());
  }

  private static void assertBlockSizes(ByteBuffer item) {
    assertEquals(14, item.remaining());
    int minimum = item.getInt(2);
    int preferred = item.getInt(6);
    int payload = item.getInt(10);
    assertTrue(minimum >= 1 && minimum <= 65536 && Integer.bitCount(minimum) == 1);
    assertTrue(preferred >= Math.max(512, minimum) && Integer.bitCount(preferred) == 1);
    assertTrue(payload >= preferred && payload >= 1 << 20);
    assertEquals(32 << 20, payload);
  }

  @Test
  @Rule("I5")
  void goTellsWhatTheSameInfoToldBefore() throws IOException {
    peer.greet(3);
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    List<String> told = texts(info(Nbd.OPT_INFO, go("disk", 1, 2, 3)));
    assertEquals(told, texts(info(Nbd.OPT_GO, go("disk", 1, 2, 3))));
  }

  @Test
  @Rule("I6")
  void goIsNotFollowedByZeroesWhateverTheFlagsOfTheClient() throws IOException {
    peer.greet(Nbd.FLAG_FIXED_NEWSTYLE);
    peer.send(option(Nbd.OPT_GO, go("disk")), RawPeer.request(Nbd.CMD_FLUSH, 3, 0, 0));
    peer.answers(Nbd.OPT_GO);
    assertEquals(3, peer.reply().cookie());
  }

  @Test
  @Rule({"I3", "I7", "I8"})
  void failedGoSendsNoInformationAndLeavesNothingBehind() throws IOException {
    peer.greet(3);
    peer.ask(Nbd.OPT_STRUCTURED_REPLY);
    assertEquals(
        2, peer.ask(Nbd.OPT_SET_META_CONTEXT, RawPeer.queries("disk", "base:allocation")).size());
    List<OptionAnswer> answers = peer.ask(Nbd.OPT_GO, go("none", 3));
    assertEquals(1, answers.size());
    assertEquals(Nbd.REP_ERR_UNKNOWN, answers.getFirst().type());
    assertEquals(0, server.disk.connected.get());
    // Without asking for block sizes, and never NBD_REP_ERR_BLOCK_SIZE_REQD.
    peer.go();
    peer.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
    assertEquals(Nbd.REPLY_BLOCK_STATUS, peer.reply().type());
  }

  @Test
  @Rule("I2")
  void everyLengthThatDoesNotFitIsInvalid() throws IOException {
    peer.greet(3);
    byte[] good = go("disk", 1, 2);
    for (int at = 0; at < good.length; at++) {
      byte[] cut = Arrays.copyOf(good, at);
      assertEquals(Nbd.REP_ERR_INVALID, peer.ask(Nbd.OPT_INFO, cut).getLast().type());
    }
    for (int name : new int[] {0, 3, 5, 8, 9, 100, 0x7fffffff, 0x80000000, 0xfffffffa, -1}) {
      byte[] bad = good.clone();
      ByteBuffer.wrap(bad).putInt(0, name);
      assertEquals(Nbd.REP_ERR_INVALID, peer.ask(Nbd.OPT_INFO, bad).getLast().type());
    }
    for (int count : new int[] {0, 1, 3, 0x8000, 0xffff}) {
      byte[] bad = good.clone();
      ByteBuffer.wrap(bad).putShort(8, (short) count);
      assertEquals(Nbd.REP_ERR_INVALID, peer.ask(Nbd.OPT_INFO, bad).getLast().type());
    }
    peer.go();
  }

  /// Every combination of abilities, as an export named by its bits.
  private static CatalogExport everyCombination() {
    CatalogExport catalog = new CatalogExport();
    Ability[] all = Ability.values();
    for (int bits = 0; bits < 1 << all.length; bits++) {
      Set<Ability> abilities = EnumSet.noneOf(Ability.class);
      for (int index = 0; index < all.length; index++) {
        if ((bits & 1 << index) != 0) {
          abilities.add(all[index]);
        }
      }
      catalog.with("e" + bits, new MemoryExport(4096, abilities));
    }
    return catalog;
  }

  private static int expectedFlags(Set<Ability> can, boolean chunks) {
    boolean changes =
        can.contains(Ability.WRITE)
            || can.contains(Ability.TRIM)
            || can.contains(Ability.WRITE_ZEROES);
    return 1
        | (changes ? 0 : 1 << 1)
        | (can.contains(Ability.FLUSH) ? 1 << 2 : 0)
        | (can.contains(Ability.FUA) ? 1 << 3 : 0)
        | (can.contains(Ability.ROTATIONAL) ? 1 << 4 : 0)
        | (can.contains(Ability.TRIM) ? 1 << 5 : 0)
        | (can.contains(Ability.WRITE_ZEROES) ? 1 << 6 : 0)
        | (chunks ? 1 << 7 : 0)
        | (can.contains(Ability.MULTI_CONN) ? 1 << 8 : 0)
        | (can.contains(Ability.CACHE) ? 1 << 10 : 0)
        | (can.contains(Ability.FAST_ZERO) && can.contains(Ability.WRITE_ZEROES) ? 1 << 11 : 0);
  }

  @ParameterizedTest
  @EnumSource
  @Rule({"F0", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "Z3"})
  void flagsSayExactlyWhatAnExportCanAndItCanWhatTheySay(Mode mode) throws IOException {
    CatalogExport catalog = everyCombination();
    try (TestServer many = new TestServer(catalog)) {
      for (Map.Entry<String, MemoryExport> entry : catalog.exports.entrySet()) {
        String name = entry.getKey();
        Set<Ability> can = entry.getValue().info.abilities();
        try (RawPeer client = many.connect()) {
          client.greet(3);
          Session.agree(client, mode);
          short flags = client.ask(Nbd.OPT_INFO, go(name)).getFirst().buffer().getShort(10);
          assertEquals(expectedFlags(can, mode.hasChunks()), flags & 0xfff, () -> name + can);
        }
        try (Session session = Session.open(many.connect(), mode, name)) {
          assertCommandsMatch(session, can);
        }
      }
    }
  }

  private static void assertCommandsMatch(Session session, Set<Ability> can) throws IOException {
    boolean readOnly =
        !can.contains(Ability.WRITE)
            && !can.contains(Ability.TRIM)
            && !can.contains(Ability.WRITE_ZEROES);
    boolean zeroes = can.contains(Ability.WRITE_ZEROES);
    boolean fast = zeroes && can.contains(Ability.FAST_ZERO);
    assertAccepted(session, can.contains(Ability.WRITE), Nbd.CMD_WRITE, 0);
    assertAccepted(session, can.contains(Ability.FLUSH), Nbd.CMD_FLUSH, 0);
    assertAccepted(session, can.contains(Ability.TRIM), Nbd.CMD_TRIM, 0);
    assertAccepted(session, can.contains(Ability.CACHE), Nbd.CMD_CACHE, 0);
    assertAccepted(session, zeroes, Nbd.CMD_WRITE_ZEROES, 0);
    assertAccepted(session, zeroes, Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_NO_HOLE);
    assertAccepted(session, fast, Nbd.CMD_WRITE_ZEROES, Nbd.CMD_FLAG_FAST_ZERO);
    assertAccepted(session, can.contains(Ability.FUA), Nbd.CMD_READ, Nbd.CMD_FLAG_FUA);
    assertAccepted(session, session.mode.hasChunks(), Nbd.CMD_READ, Nbd.CMD_FLAG_DF);
    if (readOnly) {
      for (int command : new int[] {Nbd.CMD_WRITE, Nbd.CMD_TRIM, Nbd.CMD_WRITE_ZEROES}) {
        byte[] payload = new byte[command == Nbd.CMD_WRITE ? 512 : 0];
        assertEquals(1, session.error(command, 0, 0, 512, payload), "EPERM");
      }
    }
  }

  private static void assertAccepted(Session session, boolean expected, int command, int flags)
      throws IOException {
    int length = command == Nbd.CMD_FLUSH ? 0 : 512;
    byte[] payload = new byte[command == Nbd.CMD_WRITE ? length : 0];
    int error = session.error(command, flags, 0, length, payload);
    if (expected) {
      assertEquals(0, error, () -> "advertised, but refused: " + command + "/" + flags);
    } else {
      assertTrue(error == 1 || error == 22, () -> command + "/" + flags + ": error " + error);
    }
  }
}
