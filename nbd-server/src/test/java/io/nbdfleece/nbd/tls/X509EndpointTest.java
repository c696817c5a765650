// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.TlsCredentials;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.time.Instant;
import java.util.List;
import java.util.Random;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.sec.ECPrivateKey;
import org.bouncycastle.asn1.x9.X962Parameters;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Certificates: what is accepted, what is refused, and what is said about files that are wrong.
final class X509EndpointTest {
  @TempDir Path directory;
  private final TestAuthority authority = new TestAuthority("authority");

  private Path serverFiles() throws IOException {
    return authority.serverDirectory(directory.resolve("server"));
  }

  private Path clientFiles() throws IOException {
    return authority.clientDirectory(directory.resolve("client"), "alice");
  }

  private static TlsEndpoint server(Path files, boolean verify) throws IOException {
    return TlsEndpoint.server(new TlsCredentials.X509(files), verify);
  }

  private static TlsEndpoint client(Path files, String hostname) throws IOException {
    return TlsEndpoint.client(new TlsCredentials.X509(files), true, hostname);
  }

  @Test
  void serverLearnsTheNamesOfAVerifiedClient() throws IOException {
    TestAuthority.Issued alice = authority.issue("alice", "alice.example", "10.1.2.3");
    Path files = authority.write(directory.resolve("client"), "client", alice);
    try (TlsPair pair = new TlsPair(server(serverFiles(), true), client(files, "localhost"))) {
      assertEquals("TLSv1.3", pair.atServer.getNow().protocol());
      assertEquals(
          List.of("CN=alice,O=Test", "alice", "alice.example", "10.1.2.3"),
          pair.atServer.getNow().names());
      assertEquals(
          List.of("CN=server,O=Test", "server", "localhost", "127.0.0.1"),
          pair.atClient.getNow().names());
    }
  }

  @Test
  void clientThatIsNotVerifiedHasNoName() throws IOException {
    try (TlsPair pair =
        new TlsPair(server(serverFiles(), false), client(clientFiles(), "localhost"))) {
      assertEquals(List.of(), pair.atServer.getNow().names());
    }
  }

  @Test
  void bytesArriveAsTheyWereSent() throws IOException {
    byte[] bytes = new byte[1 << 20];
    new Random(1).nextBytes(bytes);
    try (TlsPair pair =
        new TlsPair(server(serverFiles(), false), client(clientFiles(), "localhost"))) {
      TlsPair.send(pair.client, bytes);
      TlsPair.send(pair.server, bytes);
      pair.settle();
      assertArrayEquals(bytes, TlsPair.received(pair.server));
      assertArrayEquals(bytes, TlsPair.received(pair.client));
    }
  }

  @Test
  void repliesStillLeaveAfterThePeerSaidGoodbye() throws IOException {
    try (TlsPair pair =
        new TlsPair(server(serverFiles(), false), client(clientFiles(), "localhost"))) {
      var _ = pair.client.pipeline().get(io.netty.handler.ssl.SslHandler.class).closeOutbound();
      pair.settle();
      assertTrue(TlsPair.sawEnd(pair.server));
      TlsPair.send(pair.server, "late".getBytes(StandardCharsets.UTF_8));
      pair.settle();
      assertEquals("late", TlsPair.text(pair.client));
    }
  }

  private void assertClientRefuses(Path serverFiles, String hostname) throws IOException {
    Path files = clientFiles();
    try (TlsPair pair = new TlsPair(server(serverFiles, false), client(files, hostname))) {
      assertFalse(pair.atClient.isSuccess(), "the client takes the server's certificate");
      assertTrue(pair.atClient.isDone());
    }
  }

  @Test
  void cve20247383ServerOfAnotherNameIsRefused() throws IOException {
    assertClientRefuses(serverFiles(), "other.example");
  }

  @Test
  void cve20247383ServerWithoutAlternativeNameIsRefused() throws IOException {
    assertClientRefuses(
        authority.write(directory.resolve("server"), "server", authority.issue("server")),
        "localhost");
  }

  @Test
  void cve20247383ServerOfAnotherAuthorityIsRefused() throws IOException {
    assertClientRefuses(
        new TestAuthority("authority").serverDirectory(directory.resolve("server")), "localhost");
  }

  @Test
  void cve20247383ServerOfAnotherAuthorityIsRefusedWithoutHostname() throws IOException {
    assertClientRefuses(
        new TestAuthority("authority").serverDirectory(directory.resolve("server")), "");
  }

  @Test
  void anyNameOfTheAuthorityWillDoWithoutHostname() throws IOException {
    try (TlsPair pair = new TlsPair(server(serverFiles(), false), client(clientFiles(), ""))) {
      assertTrue(pair.atClient.isSuccess());
    }
  }

  @Test
  void clientThatDoesNotVerifyTakesAnyServer() throws IOException {
    Path other = new TestAuthority("other").serverDirectory(directory.resolve("server"));
    TlsEndpoint careless =
        TlsEndpoint.client(new TlsCredentials.X509(clientFiles()), false, "localhost");
    try (TlsPair pair = new TlsPair(server(other, false), careless)) {
      assertTrue(pair.atClient.isSuccess());
      assertEquals(List.of(), pair.atClient.getNow().names());
    }
  }

  private void assertServerRefuses(Path clientFiles) throws IOException {
    TlsEndpoint careless = TlsEndpoint.client(new TlsCredentials.X509(clientFiles), false, "");
    try (TlsPair pair = new TlsPair(server(directory.resolve("server"), true), careless)) {
      assertFalse(pair.atServer.isSuccess(), "the server takes the client");
      assertTrue(pair.atServer.isDone());
    }
  }

  @Test
  void clientOfAnotherAuthorityIsRefused() throws IOException {
    serverFiles();
    assertServerRefuses(
        new TestAuthority("authority").clientDirectory(directory.resolve("client"), "alice"));
  }

  @Test
  void clientWithoutCertificateIsRefused() throws IOException {
    serverFiles();
    Path files = clientFiles();
    Files.delete(files.resolve("client-cert.pem"));
    Files.delete(files.resolve("client-key.pem"));
    assertServerRefuses(files);
  }

  @Test
  void revokedClientIsRefusedAndAnotherOneIsNot() throws IOException {
    TestAuthority.Issued mallory = authority.issue("mallory");
    Path files = authority.write(directory.resolve("mallory"), "client", mallory);
    authority.revoke(serverFiles(), mallory, Instant.now().plusSeconds(3600));
    assertServerRefuses(files);
    try (TlsPair pair =
        new TlsPair(
            server(directory.resolve("server"), true), client(clientFiles(), "localhost"))) {
      assertTrue(pair.atServer.isSuccess());
    }
  }

  private void assertWrong(String file, String what) {
    IOException e =
        assertThrows(IOException.class, () -> server(directory.resolve("server"), true));
    String text = String.valueOf(e.getMessage());
    assertTrue(text.contains(file) && text.contains(what), text);
  }

  @Test
  void messagesNameTheFileAndWhatIsWrong() throws IOException {
    assertWrong("server", "is not a directory");
    Path files = serverFiles();
    Files.delete(files.resolve("server-key.pem"));
    assertWrong("server-key.pem", "no such file");
    Files.writeString(files.resolve("server-key.pem"), "nothing");
    assertWrong("server-key.pem", "holds no key");
    Files.writeString(
        files.resolve("server-key.pem"),
        TestAuthority.pem("PRIVATE KEY", TestAuthority.ecKeys().getPrivate().getEncoded()));
    assertWrong("server-key.pem", "does not belong to the certificate");
    Files.writeString(
        files.resolve("server-key.pem"), TestAuthority.pem("ENCRYPTED PRIVATE KEY", new byte[9]));
    assertWrong("server-key.pem", "encrypted");
    Files.writeString(
        files.resolve("server-cert.pem"), TestAuthority.pem("CERTIFICATE", new byte[9]));
    assertWrong("server-cert.pem", "cannot be read");
    serverFiles();
    Files.writeString(files.resolve("ca-cert.pem"), "");
    assertWrong("ca-cert.pem", "holds no certificate");
  }

  @Test
  void expiredCertificateAndOutdatedOrForeignRevocationListAreRefusedAtTheStart()
      throws IOException {
    Path files = serverFiles();
    authority.revoke(files, authority.issue("x"), Instant.now().minusSeconds(10));
    assertWrong("ca-crl.pem", "out of date");
    new TestAuthority("authority")
        .revoke(files, authority.issue("x"), Instant.now().plusSeconds(3600));
    assertWrong("ca-crl.pem", "was not signed by");
    Files.delete(files.resolve("ca-crl.pem"));
    authority.write(
        files,
        "server",
        authority.issue("server", TestAuthority.ecKeys(), Instant.now().minusSeconds(60)));
    assertWrong("server-cert.pem", "has expired");
  }

  private void assertKeyWorks(KeyPair keys, String type, byte[] der) throws IOException {
    Path files =
        authority.write(
            directory.resolve("server"),
            "server",
            authority.issue("server", keys, Instant.now().plusSeconds(3600), "localhost"));
    Files.writeString(
        files.resolve("server-key.pem"), "Public Key Info: x\n" + TestAuthority.pem(type, der));
    try (TlsPair pair = new TlsPair(server(files, false), client(clientFiles(), "localhost"))) {
      assertTrue(pair.atClient.isSuccess());
    }
  }

  @Test
  void keysOfAllFormatsAreRead() throws IOException {
    KeyPair rsa = TestAuthority.keys("RSA", 2048);
    byte[] pkcs8 = rsa.getPrivate().getEncoded();
    assertKeyWorks(rsa, "PRIVATE KEY", pkcs8);
    assertKeyWorks(
        rsa,
        "RSA PRIVATE KEY",
        PrivateKeyInfo.getInstance(pkcs8).parsePrivateKey().toASN1Primitive().getEncoded());
    KeyPair ec = TestAuthority.ecKeys();
    PrivateKeyInfo info = PrivateKeyInfo.getInstance(ec.getPrivate().getEncoded());
    ECPrivateKey scalar = ECPrivateKey.getInstance(info.parsePrivateKey());
    X962Parameters curve =
        X962Parameters.getInstance(info.getPrivateKeyAlgorithm().getParameters());
    assertKeyWorks(
        ec, "EC PRIVATE KEY", new ECPrivateKey(256, scalar.getKey(), curve).getEncoded());
    KeyPair edwards = TestAuthority.keys("Ed25519", 255);
    assertKeyWorks(edwards, "PRIVATE KEY", edwards.getPrivate().getEncoded());
  }
}
