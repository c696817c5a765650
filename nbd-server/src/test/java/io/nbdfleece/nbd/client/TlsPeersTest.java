// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The client and nbdkit with GnuTLS, over Unix sockets and TCP. Each way in which a certificate
/// can be wrong fails (CVE-2024-7383). Skipped where nbdkit or certtool is not installed.
@Timeout(120)
final class TlsPeersTest {
  private static final String VALID = "expiration_days = 30\n";
  private static final String EXPIRED =
      """
      activation_date = "2020-01-01 00:00:00 UTC"
      expiration_date = "2020-02-01 00:00:00 UTC"
      """;
  private static final String LOCALHOST = "dns_name = localhost\n";

  @TempDir Path directory;

  @BeforeEach
  void requirePeers() {
    PeerProcess.requireInstalled("nbdkit");
    PeerProcess.requireInstalled("certtool");
  }

  @Test
  void certificateOfTheAuthorityForTheHostIsAccepted() throws Exception {
    Path pki = pki("pki", LOCALHOST + VALID);
    try (PeerProcess peer = tlsPeer(pki)) {
      try (NbdClient client = NbdClient.connect(tcp(peer, "localhost", pki), all())) {
        assertTrue(client.negotiated().tlsProtocol().orElseThrow().startsWith("TLSv1."));
        writeAndReadBack(client);
      }
      assertEquals(
          List.of(""),
          NbdClient.list(tcp(peer, "localhost", pki), all()).stream()
              .map(NbdClient.ListedExport::name)
              .toList());
    }
  }

  @Test
  void certificateForAnotherHostIsRefused() throws Exception {
    Path pki = pki("pki", LOCALHOST + VALID);
    try (PeerProcess peer = tlsPeer(pki)) {
      assertRefused(tcp(peer, "127.0.0.1", pki));
      assertRefused(withTls(tcp(peer, "localhost", pki), tls(pki, true, "other.example")));
      NbdUri named = withTls(tcp(peer, "127.0.0.1", pki), tls(pki, true, "localhost"));
      NbdClient.connect(named, all()).close();
    }
  }

  @Test
  void certificateOfAnotherAuthorityIsRefused() throws Exception {
    Path pki = pki("pki", LOCALHOST + VALID);
    Path other = pki("other", LOCALHOST + VALID);
    try (PeerProcess peer = tlsPeer(pki)) {
      assertRefused(tcp(peer, "localhost", other));
    }
  }

  @Test
  void expiredCertificateIsRefused() throws Exception {
    Path pki = pki("pki", LOCALHOST + EXPIRED);
    try (PeerProcess peer = tlsPeer(pki)) {
      assertRefused(tcp(peer, "localhost", pki));
    }
  }

  @Test
  void certificateWithoutAlternativeNamesIsRefused() throws Exception {
    Path pki = pki("pki", VALID);
    try (PeerProcess peer = tlsPeer(pki)) {
      assertRefused(tcp(peer, "127.0.0.1", pki));
      assertRefused(withTls(tcp(peer, "localhost", pki), tls(pki, true, "example.com")));
    }
  }

  @Test
  void nothingIsCheckedWhenTheUriSaysSo() throws Exception {
    Path pki = pki("pki", LOCALHOST + EXPIRED);
    try (PeerProcess peer = tlsPeer(pki)) {
      NbdUri unchecked = withTls(tcp(peer, "127.0.0.1", pki), tls(pki, false, ""));
      NbdClient.connect(unchecked, all()).close();
    }
  }

  @Test
  void preSharedKeyOpensTheExportAndAWrongOneDoesNot() throws Exception {
    Path keys = directory.resolve("keys.psk");
    Files.writeString(keys, "alice:" + "5c".repeat(32) + "\n");
    Path wrong = directory.resolve("wrong.psk");
    Files.writeString(wrong, "alice:" + "5d".repeat(32) + "\n");
    try (PeerProcess peer =
        PeerProcess.nbdkit(directory, "--tls=require", "--tls-psk=" + keys, "memory", "16M")) {
      try (RemoteExport export =
          RemoteExport.open(
              withTls(peer.uri(""), psk("alice", keys)),
              new RemoteOptions(2, Duration.ofSeconds(10), Duration.ZERO),
              ClientOptions.defaults())) {
        RemoteExportTest.Outcome outcome = new RemoteExportTest.Outcome();
        export.flush(outcome);
        outcome.get();
      }
      try (NbdClient client = NbdClient.connect(withTls(peer.uri(""), psk("alice", keys)), all())) {
        writeAndReadBack(client);
      }
      assertRefused(withTls(peer.uri(""), psk("alice", wrong)));
    }
  }

  @Test
  void plainUriIsToldThatTheServerWantsTls() throws Exception {
    Path pki = pki("pki", LOCALHOST + VALID);
    try (PeerProcess peer = tlsPeer(pki)) {
      NbdUri plain = withTls(tcp(peer, "localhost", pki), Optional.empty());
      IOException error =
          assertThrows(IOException.class, () -> NbdClient.connect(plain, all()).close());
      assertTrue(String.valueOf(error.getMessage()).contains("write nbds"), error.toString());
    }
  }

  private static void writeAndReadBack(NbdClient client) throws Exception {
    int length = 1 << 20;
    ByteBuffer data = ByteBuffer.allocateDirect(length);
    for (int i = 0; i < length; i++) {
      data.put((byte) ((i * 31) >> 8));
    }
    List<java.util.concurrent.CompletableFuture<Void>> writes = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      writes.add(
          client.write((long) i * length, data.flip().duplicate(), Export.Durability.CACHED));
      data.position(length);
    }
    for (var write : writes) {
      write.get();
    }
    ByteBuffer back = ByteBuffer.allocateDirect(length);
    client.read(7L * length, back).get();
    assertEquals(data.flip(), back);
  }

  private static ClientOptions all() {
    return ClientOptions.defaults().withContexts(List.of(ClientOptions.ALL_CONTEXTS));
  }

  private static void assertRefused(NbdUri uri) {
    IOException error =
        assertThrows(IOException.class, () -> NbdClient.connect(uri, all()).close());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.startsWith(uri + ": TLS"), message);
  }

  private PeerProcess tlsPeer(Path pki) throws IOException {
    return PeerProcess.nbdkitTcp(
        directory, "--tls=require", "--tls-certificates=" + pki, "memory", "16M");
  }

  private static NbdUri tcp(PeerProcess peer, String host, Path pki) {
    return new NbdUri.Tcp(host, peer.port(), "", tls(pki, true, ""));
  }

  private static NbdUri withTls(NbdUri uri, Optional<NbdUri.Tls> tls) {
    return switch (uri) {
      case NbdUri.Tcp tcp -> new NbdUri.Tcp(tcp.host(), tcp.port(), tcp.exportName(), tls);
      case NbdUri.Unix unix -> new NbdUri.Unix(unix.socket(), unix.exportName(), tls);
    };
  }

  private static Optional<NbdUri.Tls> tls(Path pki, boolean verifyPeer, String hostname) {
    return Optional.of(
        new NbdUri.Tls(
            "",
            Optional.of(pki),
            Optional.empty(),
            verifyPeer,
            hostname.isEmpty() ? Optional.empty() : Optional.of(hostname)));
  }

  private static Optional<NbdUri.Tls> psk(String user, Path keys) {
    return Optional.of(
        new NbdUri.Tls(user, Optional.empty(), Optional.of(keys), true, Optional.empty()));
  }

  /// A directory with an authority and a server's certificate of it.
  private Path pki(String name, String server) throws Exception {
    Path pki = Files.createDirectory(directory.resolve(name));
    Files.writeString(
        pki.resolve("ca.info"), "cn = \"" + name + "\"\nca\ncert_signing_key\n" + VALID);
    Files.writeString(
        pki.resolve("server.info"),
        "cn = localhost\n" + server + "tls_www_server\nencryption_key\nsigning_key\n");
    certtool(pki, "--generate-privkey", "--key-type=ecdsa", "--outfile", "ca-key.pem");
    certtool(
        pki,
        "--generate-self-signed",
        "--load-privkey",
        "ca-key.pem",
        "--template",
        "ca.info",
        "--outfile",
        "ca-cert.pem");
    certtool(pki, "--generate-privkey", "--key-type=ecdsa", "--outfile", "server-key.pem");
    certtool(
        pki,
        "--generate-certificate",
        "--load-ca-certificate",
        "ca-cert.pem",
        "--load-ca-privkey",
        "ca-key.pem",
        "--load-privkey",
        "server-key.pem",
        "--template",
        "server.info",
        "--outfile",
        "server-cert.pem");
    return pki;
  }

  private static void certtool(Path pki, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("certtool"));
    command.addAll(List.of(arguments));
    Process process =
        new ProcessBuilder(command)
            .directory(pki.toFile())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertEquals(0, process.waitFor(), command.toString());
  }
}
