// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static io.nbdfleece.nbd.server.RawPeer.string;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.ServerTls.Mode;
import io.nbdfleece.nbd.tls.TestAuthority;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// NBD_OPT_STARTTLS: modes, what is forgotten, and what somebody in between could try.
@Timeout(60)
final class StartTlsTest {
  @TempDir Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private TlsCredentials credentials = new TlsCredentials.X509(Path.of(""));

  @BeforeEach
  void writeFiles() throws IOException {
    credentials = new TlsCredentials.X509(authority.serverDirectory(directory.resolve("server")));
  }

  /// `secret` can be opened over TLS only, or by who is called alice.
  private static final class Catalog extends MemoryExport {
    volatile ClientIdentity lastClient = ClientIdentity.UNKNOWN;

    Catalog() {
      super(1 << 20, WRITABLE);
    }

    @Override
    public Optional<Export> find(String name, ClientIdentity client) {
      lastClient = client;
      if (name.equals("alices")) {
        return client.tls().stream().anyMatch(tls -> tls.names().contains("alice"))
            ? Optional.of(this)
            : Optional.empty();
      }
      return name.equals("secret") ? Optional.of(this) : super.find(name, client);
    }

    @Override
    public List<String> names(ClientIdentity client) {
      return List.of("disk", "secret", "alices");
    }

    @Override
    public boolean needsTls(String name) {
      return name.equals("secret");
    }
  }

  private TestServer server(Mode mode, boolean verify) throws IOException {
    ServerTls tls =
        mode == Mode.OFF ? ServerTls.OFF : new ServerTls(mode, Optional.of(credentials), verify);
    return new TestServer(new Catalog(), TestServer.LIMITS, tls);
  }

  private static void assertType(int expected, RawPeer.OptionAnswer answer) {
    assertEquals(Integer.toHexString(expected), Integer.toHexString(answer.type()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
  @Rule({"TL3", "TL9"})
  void requestsAreServedOverTls(String protocol) throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      peer.startTls(protocol, Optional.empty());
      assertType(Nbd.REP_ACK, peer.go("disk"));
      byte[] payload = new byte[300_000];
      new java.util.Random(7).nextBytes(payload);
      peer.send(RawPeer.write(1, 4096, payload));
      assertEquals(0, peer.reply(0).error());
      peer.send(request(Nbd.CMD_READ, 2, 4096, payload.length));
      org.junit.jupiter.api.Assertions.assertArrayEquals(
          payload, peer.reply(payload.length).data());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
  @Rule({"D1", "TL3"})
  void disconnectBehindRequestsLosesNoReply(String protocol) throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      peer.startTls(protocol, Optional.empty());
      peer.go("disk");
      byte[][] all = new byte[101][];
      for (int index = 0; index < 100; index++) {
        all[index] = request(Nbd.CMD_READ, index, 0, 100_000);
      }
      all[100] = RawPeer.disc();
      peer.send(all);
      for (int index = 0; index < 100; index++) {
        assertEquals(100_000, peer.reply(100_000).data().length);
      }
      // An orderly end, which JDK sockets tell from a truncated one.
      assertEquals(-1, peer.in.read());
    }
  }

  @Test
  @Rule({"L4", "TL12"})
  void namesOfTheClientDecideWhatItMayOpenAndSee() throws IOException {
    Path alice = authority.clientDirectory(directory.resolve("alice"), "alice");
    Path bob = authority.clientDirectory(directory.resolve("bob"), "bob");
    try (TestServer server = server(Mode.REQUIRE, true);
        SecurePeer peer = SecurePeer.greeted(server.port());
        SecurePeer other = SecurePeer.greeted(server.port())) {
      other.startTls("TLSv1.3", Optional.of(bob));
      assertType(Nbd.REP_ERR_UNKNOWN, other.go("alices"));
      other.send(option(Nbd.OPT_LIST));
      assertEquals("\0\0\0\4diskmemory disk", other.optionReply().text());
      assertEquals("\0\0\0\6secretmemory disk", other.optionReply().text());
      assertType(Nbd.REP_ACK, other.optionReply());
      peer.startTls("TLSv1.3", Optional.of(alice));
      assertType(Nbd.REP_ACK, peer.go("alices"));
      assertEquals("TLSv1.3", ((Catalog) server.disk).lastClient.tls().orElseThrow().protocol());
    }
  }

  @Test
  @Rule({"TL7", "TL12"})
  void clientWithoutCertificateIsRefusedWhenClientsAreVerified() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, true);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertThrows(
          IOException.class,
          () -> {
            peer.startTls("TLSv1.3", Optional.empty());
            // The server looks at the certificate after the client has finished.
            peer.go("disk");
          });
    }
  }

  @Test
  @Rule({"TL4", "E2", "O10"})
  void withoutTlsEveryOptionIsRefusedWhenItIsRequired() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      for (int option : new int[] {3, 4, 6, 7, 8, 9, 10, 11, 77}) {
        assertType(Nbd.REP_ERR_TLS_REQD, peer.ask(option));
      }
      assertType(Nbd.REP_ERR_TLS_REQD, peer.ask(Nbd.OPT_GO, new byte[100_000]));
      peer.send(option(Nbd.OPT_EXPORT_NAME, "disk".getBytes(StandardCharsets.UTF_8)));
      assertTrue(peer.atEnd());
    }
  }

  @Test
  @Rule("AB3")
  void abortIsAllowedWithoutTls() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ACK, peer.ask(Nbd.OPT_ABORT));
      assertTrue(peer.atEnd());
    }
  }

  @Test
  @Rule({"TL6", "L3", "E2"})
  void exportThatNeedsTlsSaysSoAndOthersAreServed() throws IOException {
    try (TestServer server = server(Mode.ON, false);
        SecurePeer peer = SecurePeer.greeted(server.port());
        SecurePeer old = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ERR_TLS_REQD, peer.go("secret"));
      assertType(Nbd.REP_ERR_TLS_REQD, peer.ask(Nbd.OPT_INFO, go("secret")));
      assertType(Nbd.REP_ERR_UNKNOWN, peer.ask(Nbd.OPT_INFO, go("nothing")));
      peer.ask(Nbd.OPT_STRUCTURED_REPLY);
      assertType(
          Nbd.REP_ERR_UNKNOWN,
          peer.ask(Nbd.OPT_SET_META_CONTEXT, queries("secret", "base:allocation")));
      peer.send(option(Nbd.OPT_LIST));
      assertEquals("\0\0\0\4diskmemory disk", peer.optionReply().text());
      assertType(Nbd.REP_ACK, peer.optionReply());
      assertType(Nbd.REP_ACK, peer.go("disk"));
      old.send(option(Nbd.OPT_EXPORT_NAME, "secret".getBytes(StandardCharsets.UTF_8)));
      assertTrue(old.atEnd());
    }
  }

  @Test
  @Rule("TL1")
  void exportThatNeedsTlsIsUnknownToAServerWithoutTls() throws IOException {
    try (TestServer server = server(Mode.OFF, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ERR_UNKNOWN, peer.go("secret"));
      assertType(Nbd.REP_ERR_POLICY, peer.ask(Nbd.OPT_STARTTLS));
    }
  }

  @Test
  @Rule({"TL2", "TL3", "TL5", "TL10"})
  void tlsIsNeverRequiredOnceItIsUpAndBeginsOnce() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ERR_INVALID, peer.ask(Nbd.OPT_STARTTLS, new byte[1]));
      peer.startTls("TLSv1.3", Optional.empty());
      assertType(Nbd.REP_ERR_INVALID, peer.ask(Nbd.OPT_STARTTLS));
      assertType(Nbd.REP_ERR_UNKNOWN, peer.go("nothing"));
      assertType(Nbd.REP_ACK, peer.go("secret"));
    }
  }

  @Test
  @Rule({"TL8", "M8", "CVE-2021-3716"})
  void cve20213716WhatWasAgreedInPlainTextIsForgotten() throws IOException {
    try (TestServer server = server(Mode.ON, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ACK, peer.ask(Nbd.OPT_STRUCTURED_REPLY));
      peer.send(option(Nbd.OPT_SET_META_CONTEXT, queries("disk", ExportInfo.BASE_ALLOCATION)));
      assertType(Nbd.REP_META_CONTEXT, peer.optionReply());
      assertType(Nbd.REP_ACK, peer.optionReply());
      peer.startTls("TLSv1.3", Optional.empty());
      assertType(
          Nbd.REP_ERR_INVALID,
          peer.ask(Nbd.OPT_SET_META_CONTEXT, queries("disk", ExportInfo.BASE_ALLOCATION)));
      assertType(Nbd.REP_ACK, peer.go("disk"));
      peer.send(request(Nbd.CMD_READ, 1, 0, 512), request(Nbd.CMD_BLOCK_STATUS, 2, 0, 512));
      assertEquals(-1, peer.reply(512).type(), "a simple reply");
      assertEquals(22, peer.reply(0).error());
    }
  }

  @Test
  @Rule({"TL11", "CVE-2021-3716"})
  void plainTextBehindStartTlsEndsTheConnection() throws IOException {
    for (byte[] injected :
        List.of(
            option(Nbd.OPT_LIST), option(Nbd.OPT_GO, string("disk"), new byte[2]), new byte[1])) {
      try (TestServer server = server(Mode.ON, false);
          SecurePeer peer = SecurePeer.greeted(server.port())) {
        peer.send(option(Nbd.OPT_STARTTLS), injected);
        assertTrue(peer.atEnd());
        assertEquals(0, server.disk.connected.get());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"x25519", "secp256r1", "secp384r1", "secp521r1", "x448"})
  void keysAreExchangedOnAnyCurve(String group) throws IOException {
    try (TestServer server = server(Mode.ON, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ACK, peer.ask(Nbd.OPT_STARTTLS));
      peer.handshake("TLSv1.3", Optional.empty(), group);
      assertType(Nbd.REP_ACK, peer.go("disk"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"})
  void finiteFieldsWhichCostTheGuestsTooMuchAreRefused(String group) throws IOException {
    try (TestServer server = server(Mode.ON, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ACK, peer.ask(Nbd.OPT_STARTTLS));
      assertThrows(SSLException.class, () -> peer.handshake("TLSv1.3", Optional.empty(), group));
    }
  }

  @Test
  @Rule("TL7")
  void plainTextInsteadOfTheTlsHandshakeEndsTheConnection() throws IOException {
    try (TestServer server = server(Mode.ON, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ACK, peer.ask(Nbd.OPT_STARTTLS));
      peer.send(option(Nbd.OPT_LIST));
      // An alert may come first.
      peer.in.readAllBytes();
      server.awaitNoConnections();
    }
  }

  @Test
  @Rule("O12")
  void deadlineOfTheHandshakeCoversTls() throws IOException {
    ServerLimits limits = TestServer.LIMITS.withHandshakeDeadline(java.time.Duration.ofMillis(300));
    try (TestServer server =
            new TestServer(
                new Catalog(), limits, new ServerTls(Mode.ON, Optional.of(credentials), false));
        SecurePeer silent = SecurePeer.greeted(server.port());
        SecurePeer gone = SecurePeer.greeted(server.port())) {
      assertType(Nbd.REP_ACK, silent.ask(Nbd.OPT_STARTTLS));
      assertType(Nbd.REP_ACK, gone.ask(Nbd.OPT_STARTTLS));
      gone.endOutput();
      silent.in.readAllBytes();
      server.awaitNoConnections();
    }
  }

  @Test
  void reloadedFilesAreUsedByNewHandshakesAndWrongOnesAreNot() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer before = SecurePeer.greeted(server.port());
        SecurePeer after = SecurePeer.greeted(server.port());
        SecurePeer last = SecurePeer.greeted(server.port())) {
      Path files = directory.resolve("server");
      var first = before.startTls("TLSv1.3", Optional.empty()).getSession();
      Files.writeString(files.resolve("server-cert.pem"), "");
      IOException e = assertThrows(IOException.class, server.server::reloadTls);
      assertTrue(String.valueOf(e.getMessage()).contains("server-cert.pem"), e.getMessage());
      var second = after.startTls("TLSv1.3", Optional.empty()).getSession();
      assertEquals(first.getPeerCertificates()[0], second.getPeerCertificates()[0]);
      authority.serverDirectory(files);
      server.server.reloadTls();
      var third = last.startTls("TLSv1.3", Optional.empty()).getSession();
      org.junit.jupiter.api.Assertions.assertNotEquals(
          first.getPeerCertificates()[0], third.getPeerCertificates()[0]);
      assertType(Nbd.REP_ACK, before.go("disk"));
    }
  }

  @Test
  void anotherHandshakeUnderTls12EndsTheConnection() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      SSLSocket secure = peer.startTls("TLSv1.2", Optional.empty());
      assertType(Nbd.REP_ACK, peer.go("disk"));
      // Says hello again; the rest would be done by the next read.
      secure.startHandshake();
      assertTrue(peer.atEnd());
      server.awaitNoConnections();
    }
  }

  @Test
  void newKeysUnderTls13AreFine() throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      SSLSocket secure = peer.startTls("TLSv1.3", Optional.empty());
      assertType(Nbd.REP_ACK, peer.go("disk"));
      for (int round = 0; round < 10; round++) {
        // Under TLS 1.3 this asks for an update of keys.
        secure.startHandshake();
        peer.send(request(Nbd.CMD_READ, round, 0, 100_000));
        assertEquals(round, peer.reply(100_000).cookie());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void clientThatAsksForNewKeysAndReadsNoAnswersIsDropped(boolean opened) throws IOException {
    try (TestServer server = server(Mode.REQUIRE, false);
        SecurePeer peer = SecurePeer.narrow(server.port())) {
      SSLSocket secure = peer.startTls("TLSv1.3", Optional.empty());
      if (opened) {
        assertType(Nbd.REP_ACK, peer.go("disk"));
      }
      assertThrows(
          IOException.class,
          () -> {
            for (int round = 0; round < 1_000_000; round++) {
              secure.startHandshake();
            }
          });
      server.awaitNoConnections();
    }
  }

  @Test
  void repliesThatWaitAreNoFlood() throws IOException {
    ServerTls tls = new ServerTls(Mode.REQUIRE, Optional.of(credentials), false);
    ServerLimits limits = TestServer.LIMITS.withRequestsInFlightMax(10_000);
    try (TestServer server = new TestServer(new Catalog(), limits, tls);
        SecurePeer peer = SecurePeer.narrow(server.port())) {
      peer.startTls("TLSv1.3", Optional.empty());
      assertType(Nbd.REP_ACK, peer.go("disk"));
      server.disk.hold = true;
      // A flush at a time, so that each reply has a record of its own.
      for (int index = 0; index < 10_000; index++) {
        peer.send(request(Nbd.CMD_FLUSH, index, 0, 0));
      }
      org.awaitility.Awaitility.await().until(() -> server.disk.held.size() == 10_000);
      for (Runnable held; (held = server.disk.held.poll()) != null; ) {
        held.run();
      }
      for (int index = 0; index < 10_000; index++) {
        assertEquals(0, peer.reply(0).error());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
  void encryptedClientThatReadsNoRepliesIsBoundedAndDropped(String protocol) throws IOException {
    ServerLimits limits =
        TestServer.LIMITS
            .withRequestsInFlightMax(8)
            .withStalledReaderDeadline(Duration.ofMillis(300));
    ServerTls tls = new ServerTls(Mode.REQUIRE, Optional.of(credentials), false);
    try (TestServer server = new TestServer(new Catalog(), limits, tls);
        SecurePeer peer = SecurePeer.greeted(server.port())) {
      peer.startTls(protocol, Optional.empty());
      assertType(Nbd.REP_ACK, peer.go("disk"));
      peer.send(ConnectionEndTest.reads(300, 1 << 20));
      server.awaitNoConnections();
      int started = server.disk.started.get();
      // Beyond the eight: what the buffers of the sockets take.
      assertTrue(started < 100, () -> "requests begun: " + started);
    }
  }
}
