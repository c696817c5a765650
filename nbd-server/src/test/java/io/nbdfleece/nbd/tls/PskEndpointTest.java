// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.TlsCredentials;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Vector;
import org.bouncycastle.tls.BasicTlsPSKExternal;
import org.bouncycastle.tls.CipherSuite;
import org.bouncycastle.tls.NamedGroup;
import org.bouncycastle.tls.PSKTlsClient;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.TlsClientProtocol;
import org.bouncycastle.tls.crypto.TlsCrypto;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCryptoProvider;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Pre-shared keys, both ends ours.
final class PskEndpointTest {
  private static final String KEY = "00112233445566778899aabbccddeeff";

  @TempDir Path directory;
  private TlsEndpoint server;

  private Path file(String name, String... lines) throws IOException {
    return Files.write(directory.resolve(name), List.of(lines));
  }

  private static TlsEndpoint client(Path file, String user) throws IOException {
    return TlsEndpoint.client(new TlsCredentials.Psk(file, user), true, "");
  }

  @BeforeEach
  void readKeys() throws IOException {
    Path keys = file("keys", "alice:" + KEY, "", "# a comment", "bob:" + KEY + KEY);
    server = TlsEndpoint.server(new TlsCredentials.Psk(keys, ""), false);
  }

  private TlsPair connected() throws IOException {
    return new TlsPair(server, client(directory.resolve("keys"), "bob"));
  }

  @Test
  void bothEndsKnowTheUserAndBytesArriveAsTheyWereSent() throws IOException {
    byte[] bytes = new byte[1 << 20];
    new Random(1).nextBytes(bytes);
    // Twice: whoever wipes a key after use must not wipe ours.
    for (int round = 0; round < 2; round++) {
      try (TlsPair pair = connected()) {
        assertEquals("TLSv1.3", pair.atServer.getNow().protocol());
        assertEquals(List.of("bob"), pair.atServer.getNow().names());
        assertEquals(List.of("bob"), pair.atClient.getNow().names());
        TlsPair.send(pair.client, bytes);
        TlsPair.send(pair.server, bytes);
        pair.settle();
        assertArrayEquals(bytes, TlsPair.received(pair.server));
        assertArrayEquals(bytes, TlsPair.received(pair.client));
      }
    }
  }

  @Test
  void repliesStillLeaveAfterThePeerSaidGoodbye() throws IOException {
    try (TlsPair pair = connected()) {
      TlsPair.send(pair.client, "last".getBytes(StandardCharsets.UTF_8));
      var _ = pair.client.close();
      pair.settle();
      assertEquals("last", TlsPair.text(pair.server));
      assertTrue(TlsPair.sawEnd(pair.server));
      TlsPair.send(pair.server, "late".getBytes(StandardCharsets.UTF_8));
      assertTrue(pair.server.outboundMessages().size() > 0, "late reply leaves");
    }
  }

  private String failure(TlsEndpoint client) {
    try (TlsPair pair = new TlsPair(server, client)) {
      assertFalse(pair.atServer.isSuccess());
      assertFalse(pair.atClient.isSuccess());
      return pair.atServer.cause() + " / " + pair.atClient.cause();
    }
  }

  @Test
  void unknownUserFailsExactlyAsAWrongKeyDoes() throws IOException {
    Path wrong = file("wrong", "alice:ff" + KEY, "eve:" + KEY);
    String wrongKey = failure(client(wrong, "alice"));
    assertEquals(wrongKey, failure(client(wrong, "eve")));
    assertTrue(wrongKey.contains("decrypt_error"), wrongKey);
  }

  /// Why the server ends the handshake when it has seen the hello of such a client.
  private String refusal(ProtocolVersion version, int suite, int... groups) throws IOException {
    TlsCrypto crypto = new JcaTlsCryptoProvider().create(new SecureRandom());
    byte[] user = "alice".getBytes(StandardCharsets.UTF_8);
    byte[] key = HexFormat.of().parseHex(KEY);
    TlsClientProtocol protocol = new TlsClientProtocol();
    protocol.connect(
        new PSKTlsClient(crypto, user, key) {
          @Override
          protected ProtocolVersion[] getSupportedVersions() {
            return version.only();
          }

          @Override
          protected int[] getSupportedCipherSuites() {
            return new int[] {suite};
          }

          @Override
          @SuppressWarnings({"rawtypes", "JdkObsolete"}) // as declared
          protected Vector getSupportedGroups(Vector roles) {
            return new Vector<>(Arrays.stream(groups).boxed().toList());
          }

          @Override
          @SuppressWarnings("JdkObsolete") // as declared
          public Vector<BasicTlsPSKExternal> getExternalPSKs() {
            return new Vector<>(List.of(new BasicTlsPSKExternal(user, crypto.createSecret(key))));
          }
        });
    byte[] hello = new byte[protocol.getAvailableOutputBytes()];
    protocol.readOutput(hello, 0, hello.length);
    EmbeddedChannel channel = new EmbeddedChannel();
    try {
      Future<ClientIdentity.Tls> proved = server.encrypt(channel);
      channel.writeInbound(Unpooled.wrappedBuffer(hello));
      return String.valueOf(proved.cause());
    } finally {
      channel.finishAndReleaseAll();
    }
  }

  @Test
  void keysAreExchangedInQuickGroupsOnly() throws IOException {
    int tls13 = CipherSuite.TLS_AES_128_GCM_SHA256;
    int curves = CipherSuite.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256;
    int fields = CipherSuite.TLS_DHE_PSK_WITH_AES_128_GCM_SHA256;
    for (int group : new int[] {NamedGroup.x25519, NamedGroup.secp256r1, NamedGroup.secp384r1}) {
      assertEquals("null", refusal(ProtocolVersion.TLSv13, tls13, group));
      assertEquals("null", refusal(ProtocolVersion.TLSv12, curves, NamedGroup.secp521r1, group));
    }
    for (int group : new int[] {NamedGroup.ffdhe2048, NamedGroup.ffdhe3072}) {
      assertEquals("null", refusal(ProtocolVersion.TLSv13, tls13, group));
      assertEquals("null", refusal(ProtocolVersion.TLSv12, fields, NamedGroup.ffdhe8192, group));
    }
    for (int group : new int[] {NamedGroup.ffdhe4096, NamedGroup.ffdhe8192}) {
      assertNotEquals("null", refusal(ProtocolVersion.TLSv13, tls13, group));
      assertNotEquals("null", refusal(ProtocolVersion.TLSv12, fields, group));
    }
    assertNotEquals("null", refusal(ProtocolVersion.TLSv13, tls13, NamedGroup.secp521r1));
    assertNotEquals("null", refusal(ProtocolVersion.TLSv12, curves, NamedGroup.secp521r1));
  }

  @Test
  void whatIsNotTlsFailsTheHandshake() throws IOException {
    try (TlsPair pair = connected()) {
      pair.server
          .pipeline()
          .fireChannelRead(
              io.netty.buffer.Unpooled.copiedBuffer("IHAVEOPT plain text", StandardCharsets.UTF_8));
      assertFalse(pair.server.pipeline().get(TlsPair.End.class).failures.isEmpty());
    }
  }

  private void assertWrong(String what, String... lines) throws IOException {
    Path file = file("wrong", lines);
    IOException e =
        assertThrows(
            IOException.class, () -> TlsEndpoint.server(new TlsCredentials.Psk(file, ""), false));
    String text = String.valueOf(e.getMessage());
    assertTrue(text.contains(file.toString()) && text.contains(what), text);
    // The name of the directory is a number, which may be anything.
    assertFalse(text.replace(file.toString(), "").contains("0011"), "shows a key: " + text);
  }

  @Test
  void messagesNameTheFileAndTheLineButNoKey() throws IOException {
    assertWrong("holds no key", "");
    assertWrong("line 2: is not of the form user:hex", "a:" + KEY, "b");
    assertWrong("line 1: the key is not hexadecimal", "a:0011x");
    assertWrong("line 1: the key has 4 bytes", "a:00112233");
    assertWrong("line 2: the user has a key already", "a:" + KEY, "a:" + KEY);
    Path missing = directory.resolve("missing");
    String text =
        String.valueOf(assertThrows(IOException.class, () -> client(missing, "a")).getMessage());
    assertTrue(text.contains("missing: there is no such file"), text);
    Path keys = directory.resolve("keys");
    assertThrows(IOException.class, () -> client(keys, ""));
    assertThrows(IOException.class, () -> client(keys, "carol"));
  }
}
