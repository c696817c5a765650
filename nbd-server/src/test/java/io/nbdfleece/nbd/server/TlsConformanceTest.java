// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.server.ServerTls.Mode;
import io.nbdfleece.nbd.tls.TestAuthority;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// What the specification asks of NBD_OPT_STARTTLS and is not in [StartTlsTest].
@Timeout(60)
class TlsConformanceTest {
  @TempDir Path directory;
  private TlsCredentials credentials = new TlsCredentials.X509(Path.of(""));

  @BeforeEach
  void writeFiles() throws IOException {
    credentials =
        new TlsCredentials.X509(
            new TestAuthority("authority").serverDirectory(directory.resolve("server")));
  }

  private TestServer server(Mode mode) throws IOException {
    return new TestServer(
        new MemoryExport(1 << 20, MemoryExport.WRITABLE),
        TestServer.LIMITS,
        new ServerTls(mode, Optional.of(credentials), false));
  }

  /// The first message of a client that knows no later TLS than 3.`minor`.
  private static byte[] clientHello(int minor) {
    byte[] body =
        bytes(
            out -> {
              out.writeShort(0x0300 | minor);
              out.write(new byte[32]);
              out.writeByte(0);
              out.writeShort(8);
              out.write(new byte[] {0, 0x2f, 0, 0x35, (byte) 0xc0, 0x13, (byte) 0xc0, 0x14});
              out.writeShort(0x0100);
            });
    return bytes(
        out -> {
          out.writeByte(22);
          out.writeShort(0x0301);
          out.writeShort(body.length + 4);
          out.writeInt(0x0100_0000 | body.length);
          out.write(body);
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2})
  @Rule({"TL7", "TL9"})
  void olderThanTls12IsRefusedAndEndsTheConnection(int minor) throws IOException {
    try (TestServer server = server(Mode.ON);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertEquals(Nbd.REP_ACK, peer.ask(Nbd.OPT_STARTTLS).type());
      peer.send(clientHello(minor));
      byte[] answer = peer.in.readAllBytes();
      assertTrue(answer.length == 0 || answer[0] == 21, "an alert, or nothing");
      server.awaitNoConnections();
      assertEquals(0, server.disk.connected.get());
    }
  }

  @Test
  @Rule({"TL4", "G7", "TL10"})
  void requiredTlsRefusesWhateverTheFlagsOfTheClient() throws IOException {
    try (TestServer server = server(Mode.REQUIRE)) {
      for (int flags = 0; flags < 4; flags++) {
        for (byte[] attempt :
            List.of(option(Nbd.OPT_EXPORT_NAME), option(Nbd.OPT_GO, go("disk")))) {
          try (RawPeer peer = server.connect()) {
            peer.greet(flags);
            peer.send(attempt);
            peer.socket.shutdownOutput();
            byte[] answer = peer.in.readAllBytes();
            assertTrue(answer.length == 0 || (answer[12] & 0x80) != 0, "an error, or the end");
          }
        }
      }
      assertEquals(0, server.disk.connected.get());
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Mode.class,
      names = {"ON", "REQUIRE"})
  @Rule({"TL8", "I5", "CVE-2021-3716"})
  void everythingCanBeAgreedAnewInsideOfTls(Mode mode) throws IOException {
    try (TestServer server = server(mode);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      for (int option : new int[] {Nbd.OPT_STRUCTURED_REPLY, Nbd.OPT_EXTENDED_HEADERS}) {
        peer.ask(option);
      }
      peer.startTls("TLSv1.3", Optional.empty());
      assertEquals(Nbd.REP_ACK, peer.ask(Nbd.OPT_STRUCTURED_REPLY).type());
      OptionAnswer context = peer.ask(Nbd.OPT_SET_META_CONTEXT, queries("disk", "base:allocation"));
      assertEquals(Nbd.REP_META_CONTEXT, context.type());
      assertEquals(Nbd.REP_ACK, peer.optionReply().type());
      assertEquals(Nbd.REP_ACK, peer.go("disk").type());
      peer.send(RawPeer.request(Nbd.CMD_BLOCK_STATUS, 1, 0, 512));
      assertEquals(Nbd.REPLY_BLOCK_STATUS, peer.reply(0).type());
    }
  }
}
