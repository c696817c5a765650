// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.server.Session.Mode;
import io.nbdfleece.nbd.server.Session.Reply;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// What has gone wrong in other NBD servers, tried on this one, by the number of the advisory.
@Timeout(60)
class CveRegressionTest {
  private static final String BASE = ExportInfo.BASE_ALLOCATION;

  private static void assertServes(TestServer server) throws IOException {
    try (RawPeer client = server.open()) {
      client.send(RawPeer.request(Nbd.CMD_READ, 77, 0, 512));
      assertEquals(77, client.reply(512).cookie());
    }
  }

  /// nbd-server: a length larger than its buffer.
  @ParameterizedTest
  @EnumSource
  @Rule({"CVE-2005-3534", "CVE-2011-0530"})
  void cve2005_3534_and_cve2011_0530_requestLongerThanTheBuffer(Mode mode) throws IOException {
    try (TestServer server = TestServer.writable()) {
      for (long length : new long[] {(1 << 20) + 1, 1 << 25, 0x7fffffffL, 0x80000000L, -1}) {
        for (int command : new int[] {Nbd.CMD_READ, Nbd.CMD_WRITE}) {
          try (Session session = Session.open(server, mode)) {
            session.send(command, 0, 1, 0, length & 0xffffffffL);
            if (command == Nbd.CMD_READ) {
              assertEquals(22, session.reply(0).error());
            } else {
              // Takes the payload or ends the connection, and reserves no memory for it.
              session.raw.socket.shutdownOutput();
              assertTrue(session.raw.atEnd());
            }
          }
        }
      }
      assertEquals(0, server.disk.started.get());
      assertServes(server);
    }
  }

  /// nbd-server: a client that leaves during negotiation, or asks for an unknown export, ended the
  /// process.
  @Test
  @Rule({"CVE-2011-1925", "CVE-2013-7441", "CVE-2017-7539", "CVE-2017-9524"})
  void cve2013_7441_clientLeavesDuringNegotiation() throws IOException {
    byte[] script =
        RawPeer.concat(
            bytes(out -> out.writeInt(3)),
            option(Nbd.OPT_STRUCTURED_REPLY),
            option(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)),
            option(Nbd.OPT_EXPORT_NAME, new byte[] {'n', 'o', 'n', 'e'}));
    try (TestServer server = TestServer.writable()) {
      for (int round = 0; round < 10; round++) {
        for (int length = 0; length <= script.length; length++) {
          try (RawPeer client = server.connect()) {
            client.send(Arrays.copyOf(script, length));
          }
        }
      }
      server.awaitNoConnections();
      assertServes(server);
    }
  }

  /// QEMU: a name of 3,000 bytes overflowed a buffer on the stack.
  @Test
  @Rule("CVE-2017-15118")
  void cve2017_15118_exportNameOf3000Bytes() throws IOException {
    String name = "n".repeat(3000);
    try (TestServer server = TestServer.writable()) {
      for (int option : new int[] {Nbd.OPT_INFO, Nbd.OPT_GO, Nbd.OPT_LIST_META_CONTEXT}) {
        try (RawPeer client = server.connect()) {
          client.greet(3);
          byte[] data = option == Nbd.OPT_LIST_META_CONTEXT ? queries(name) : go(name);
          assertEquals(Nbd.REP_ERR_UNKNOWN, client.ask(option, data).getLast().type());
          client.go();
        }
      }
      try (RawPeer client = server.connect()) {
        client.greet(3);
        client.send(
            option(Nbd.OPT_EXPORT_NAME, name.getBytes(java.nio.charset.StandardCharsets.US_ASCII)));
        assertTrue(client.atEnd());
      }
      assertServes(server);
    }
  }

  /// QEMU: options of 4 GiB kept the server reading.
  @Test
  @Rule("CVE-2017-15119")
  void cve2017_15119_optionOf4Gigabytes() throws IOException {
    try (TestServer server = TestServer.writable()) {
      for (int option = 0; option < 13; option++) {
        int number = option;
        try (RawPeer client = server.connect()) {
          client.greet(3);
          client.send(
              bytes(
                  out -> {
                    out.writeLong(Nbd.IHAVEOPT);
                    out.writeInt(number);
                    out.writeInt(-1);
                  }));
          assertTrue(client.atEnd());
        }
      }
      assertServes(server);
    }
  }

  /// nbdkit: the disk was opened before the client had proved anything.
  @Test
  @Rule("CVE-2019-14850")
  void cve2019_14850_nothingIsOpenedBeforeGo() throws IOException {
    MemoryExport disk = new MemoryExport(512, MemoryExport.WRITABLE);
    CatalogExport catalog = new CatalogExport().with("disk", disk);
    try (TestServer server = new TestServer(catalog)) {
      for (int count = 0; count < 1000; count++) {
        try (RawPeer client = server.connect()) {
          client.in.readNBytes(18);
        }
      }
      server.awaitNoConnections();
      assertEquals(0, catalog.lookups.get());
      try (RawPeer client = server.connect()) {
        client.greet(3);
        client.ask(Nbd.OPT_INFO, go("disk"));
        assertEquals(0, disk.connected.get());
        client.go();
        Awaitility.await().until(() -> disk.connected.get() == 1);
      }
    }
  }

  /// nbdkit: INFO twice, or GO after a failed INFO, hit an assertion. Here: 100,000 random orders.
  @Test
  @Rule("CVE-2019-14851")
  void cve2019_14851_optionsInAnyOrder() throws IOException {
    long seed = Long.getLong("test.seed", new Random().nextLong());
    System.out.println("optionsInAnyOrder: -Dtest.seed=" + seed);
    Random random = new Random(seed);
    List<byte[]> steps =
        List.of(
            option(Nbd.OPT_LIST),
            option(Nbd.OPT_INFO, go("disk", 1, 3)),
            option(Nbd.OPT_INFO, go("none")),
            option(Nbd.OPT_GO, go("none", 3)),
            option(Nbd.OPT_GO, new byte[3]),
            option(Nbd.OPT_STRUCTURED_REPLY),
            option(Nbd.OPT_SET_META_CONTEXT, queries("disk", BASE)),
            option(Nbd.OPT_SET_META_CONTEXT, queries("none", BASE)),
            option(Nbd.OPT_LIST_META_CONTEXT, queries("")),
            option(Nbd.OPT_STARTTLS, new byte[1]),
            option(4),
            option(77, new byte[9]));
    int total = 0;
    ServerLimits limits = TestServer.LIMITS.withOptionsMax(100_000);
    MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);
    try (TestServer server = new TestServer(disk, limits)) {
      while (total < 100_000) {
        try (RawPeer client = server.connect()) {
          client.greet(3);
          boolean structured = false;
          boolean selected = false;
          for (int batch = random.nextInt(20); batch >= 0; batch--) {
            int[] order = random.ints(1 + random.nextInt(40), 0, steps.size()).toArray();
            client.send(
                RawPeer.concat(Arrays.stream(order).mapToObj(steps::get).toArray(byte[][]::new)));
            for (int step : order) {
              int number = ByteBuffer.wrap(steps.get(step)).getInt(8);
              List<OptionAnswer> answers = client.answers(number);
              assertEquals(expected(step, structured), answers.size(), "step " + step);
              selected = step == 6 ? structured : step == 7 ? false : selected;
              structured |= step == 5;
              total++;
            }
          }
          client.go();
          client.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
          assertEquals(selected ? 0 : 22, client.reply().errorNumber(), "seed " + seed);
        }
      }
    }
  }

  /// How many answers a step has.
  private static int expected(int step, boolean structured) {
    return switch (step) {
      case 0 -> 2;
      case 1 -> 4;
      case 6 -> structured ? 2 : 1;
      case 8 -> 3;
      default -> 1;
    };
  }

  /// QEMU: the text of an error that repeats the longest name was longer than a string may be.
  @Test
  @Rule({"CVE-2020-10761", "O6"})
  void cve2020_10761_errorTextForTheLongestName() throws IOException {
    List<String> names = List.of("n".repeat(4096), "\u0001".repeat(4096), "ä".repeat(2048));
    try (TestServer server = TestServer.writable();
        RawPeer client = server.connect()) {
      client.greet(3);
      client.ask(Nbd.OPT_STRUCTURED_REPLY);
      for (String name : names) {
        for (int option : new int[] {Nbd.OPT_INFO, Nbd.OPT_GO, Nbd.OPT_SET_META_CONTEXT}) {
          byte[] data = option == Nbd.OPT_SET_META_CONTEXT ? queries(name) : go(name);
          OptionAnswer answer = client.ask(option, data).getLast();
          assertEquals(Nbd.REP_ERR_UNKNOWN, answer.type());
          assertTrue(answer.data().length <= 4096);
        }
      }
      client.go();
    }
  }

  /// nbd-server: a name length of 0xffffffff overflowed an integer.
  @Test
  @Rule({"CVE-2022-26495", "I2"})
  void cve2022_26495_infoNameLengthOverflow() throws IOException {
    try (TestServer server = TestServer.writable();
        RawPeer client = server.connect()) {
      client.greet(3);
      client.ask(Nbd.OPT_STRUCTURED_REPLY);
      for (int length : new int[] {-1, -2, -6, -7, -8, 0x7fffffff, 0x80000000, 0x7ffffffb}) {
        byte[] data = bytes(out -> out.writeInt(length));
        for (int option : new int[] {6, 7, 9, 10}) {
          byte[] rest = new byte[20];
          assertEquals(Nbd.REP_ERR_INVALID, client.ask(option, data).getLast().type());
          assertEquals(Nbd.REP_ERR_INVALID, client.ask(option, data, rest).getLast().type());
        }
      }
      client.go();
    }
  }

  /// nbd-server: a name longer than its buffer of 1,024 bytes overflowed the stack.
  @Test
  @Rule("CVE-2022-26496")
  void cve2022_26496_infoNameLongerThanTheBuffer() throws IOException {
    try (TestServer server = TestServer.writable();
        RawPeer client = server.connect()) {
      client.greet(3);
      for (int length : new int[] {255, 256, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 60_000}) {
        for (int option : new int[] {Nbd.OPT_INFO, Nbd.OPT_GO}) {
          int type = client.ask(option, go("n".repeat(length))).getLast().type();
          assertEquals(length > 4096 ? Nbd.REP_ERR_INVALID : Nbd.REP_ERR_UNKNOWN, type);
        }
        // The name claims more than the option has.
        byte[] claim = go("n".repeat(100));
        ByteBuffer.wrap(claim).putInt(0, length);
        assertEquals(Nbd.REP_ERR_INVALID, client.ask(Nbd.OPT_INFO, claim).getLast().type());
      }
      client.go();
    }
  }

  /// An export of 2^62 bytes that answers a status request with what a test prepared.
  private static final class HugeExport extends MemoryExport {
    private final long sizeBytes;
    private volatile List<Extent> extents = List.of();

    HugeExport(long sizeBytes) {
      super(0, MemoryExport.WRITABLE);
      this.sizeBytes = sizeBytes;
    }

    @Override
    public ExportInfo info() {
      return new ExportInfo(sizeBytes, "", MemoryExport.WRITABLE, 4096, List.of(BASE));
    }

    @Override
    public void blockStatus(
        long offset, long length, List<String> contexts, int max, StatusCompletion done) {
      done.succeeded(List.of(new ContextExtents(BASE, extents)));
    }
  }

  private static long sum(Reply reply, Mode mode) {
    assertEquals(0, reply.error());
    long sum = 0;
    for (long[] descriptor : Session.descriptors(reply.chunks().getFirst(), mode)) {
      assertTrue(descriptor[0] > 0);
      sum += descriptor[0];
    }
    return sum;
  }

  /// nbdkit: an extent of more than 4 GiB in the answer to a long request hit an assertion.
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "SIMPLE")
  @Rule({"CVE-2025-47711", "B1"})
  void cve2025_47711_extentOfMoreThan4Gigabytes(Mode mode) throws IOException {
    HugeExport disk = new HugeExport(1L << 62);
    long four = 1L << 32;
    try (TestServer server = new TestServer(disk);
        Session session = Session.open(server, mode, BASE)) {
      for (long length : new long[] {four - 513, four - 512, four - 511, four - 1}) {
        for (long first : new long[] {1, 512, four - 512, four - 1, four, four + 1, 1L << 61}) {
          disk.extents = List.of(new Extent(first, 0), new Extent(1L << 61, 3));
          long sum = sum(session.ask(Nbd.CMD_BLOCK_STATUS, 0, 0, length), mode);
          assertTrue(sum > 0 && sum >= Math.min(length, four - 65536), () -> first + ": " + sum);
          disk.extents = List.of(new Extent(first, 3), new Extent(1L << 61, 3));
          long one = sum(session.ask(Nbd.CMD_BLOCK_STATUS, Nbd.CMD_FLAG_REQ_ONE, 0, length), mode);
          assertTrue(one > 0 && one <= length);
        }
      }
    }
  }

  /// nbdkit: rounding to blocks overflowed for status requests near 2^32 and at the end.
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "SIMPLE")
  @Rule({"CVE-2025-47712", "C5"})
  void cve2025_47712_statusNear4GigabytesAndAtTheEnd(Mode mode) throws IOException {
    long size = (1L << 40) - 512;
    HugeExport disk = new HugeExport(size);
    disk.extents = List.of(new Extent(1L << 61, 0));
    List<Long> offsets = new ArrayList<>(List.of(0L, (1L << 32) - 1, 1L << 32, (1L << 32) + 1));
    for (long back : new long[] {1, 511, 512, 513, 65_535, 65_536, 65_537, 1L << 32}) {
      offsets.add(size - back);
    }
    try (TestServer server = new TestServer(disk);
        Session session = Session.open(server, mode, BASE)) {
      for (long offset : offsets) {
        for (long length : new long[] {1, 511, 512, (1L << 32) - 512, (1L << 32) - 1}) {
          Reply reply = session.ask(Nbd.CMD_BLOCK_STATUS, 0, offset, length);
          if (length > size - offset) {
            assertEquals(22, reply.error());
          } else {
            assertTrue(sum(reply, mode) > 0);
          }
        }
      }
    }
  }
}
