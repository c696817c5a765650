// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.optionReply;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Servers, or people in between, that do not want the TLS that a URI demands. The client fails
/// closed: it sends nothing in plain text but the request for TLS (CVE-2019-14842).
@Timeout(60)
final class StartTlsTest {
  private static final byte[] NOTHING = {};
  private static final byte[] ACK = optionReply(5, 1, NOTHING);

  @TempDir Path directory;

  record Case(String name, ScriptedServer.Script script, String expected) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Case answer(String name, byte[] answer, String expected) {
    return new Case(
        name,
        peer -> {
          peer.greet();
          peer.option();
          peer.send(answer);
        },
        expected);
  }

  static Stream<Case> unwilling() {
    return Stream.of(
        answer("unknown option", optionReply(5, 0x80000001, NOTHING), "does not do TLS"),
        answer("policy", optionReply(5, 0x80000002, bytes().text("no").array()), "says: no"),
        answer("platform", optionReply(5, 0x80000004, NOTHING), "does not do TLS"),
        answer("odd reply", optionReply(5, 3, NOTHING), "violated"),
        answer("acknowledgement with payload", optionReply(5, 1, new byte[1]), "violated"),
        answer(
            "plain bytes behind the acknowledgement",
            bytes().raw(ACK).raw(optionReply(8, 1, NOTHING)).array(),
            "plain bytes behind its acknowledgement of STARTTLS"),
        new Case(
            "greeting without fixed newstyle",
            peer -> {
              peer.send(bytes().text("NBDMAGICIHAVEOPT").u16(0).array());
              peer.receive(4);
            },
            "too old for TLS"));
  }

  @ParameterizedTest
  @MethodSource("unwilling")
  void nothingFollowsInPlainText(Case unwilling) throws Exception {
    List<Integer> received = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              unwilling.script().run(peer);
              while (true) {
                received.add((int) peer.receive(1).get());
              }
            })) {
      IOException error = assertThrows(IOException.class, () -> connect(server).close());
      String message = String.valueOf(error.getMessage());
      assertTrue(message.startsWith("nbds+unix://alice@/disk?"), message);
      assertTrue(message.contains(unwilling.expected()), message);
      server.awaitHangUp();
      assertEquals(List.of(), received);
    }
  }

  @Test
  void serverThatSpeaksPlainTextInsteadOfTlsIsLeft() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              assertEquals(5, peer.option());
              peer.send(ACK);
              peer.receive(6); // the client has begun its handshake
              peer.send(optionReply(8, 1, NOTHING));
              peer.awaitClose();
            })) {
      IOException error = assertThrows(IOException.class, () -> connect(server).close());
      String message = String.valueOf(error.getMessage());
      assertTrue(message.contains("TLS: the handshake failed"), message);
    }
  }

  @Test
  void handshakeThatDoesNotEndIsGivenUp() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              peer.option();
              peer.send(ACK);
              peer.awaitClose();
            })) {
      IOException error =
          assertThrows(
              IOException.class,
              () ->
                  NbdClient.connect(
                          encrypted(server),
                          ClientOptions.defaults().withConnectDeadline(Duration.ofMillis(300)))
                      .close());
      String message = String.valueOf(error.getMessage());
      assertTrue(message.contains("no end of its handshake within 300 ms"), message);
    }
  }

  @Test
  void listIsEncryptedToo() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              peer.send(optionReply(peer.option(), 0x80000001, NOTHING));
              peer.awaitClose();
            })) {
      IOException error =
          assertThrows(
              IOException.class, () -> NbdClient.list(encrypted(server), ClientOptions.defaults()));
      assertTrue(String.valueOf(error.getMessage()).contains("does not do TLS"));
    }
  }

  private NbdClient connect(ScriptedServer server) throws IOException {
    return NbdClient.connect(encrypted(server), ClientOptions.defaults());
  }

  private NbdUri encrypted(ScriptedServer server) throws IOException {
    Path keys = directory.resolve("keys.psk");
    Files.writeString(keys, "alice:" + "5c".repeat(32) + "\n");
    NbdUri.Tls tls =
        new NbdUri.Tls("alice", Optional.empty(), Optional.of(keys), true, Optional.empty());
    NbdUri.Unix plain = (NbdUri.Unix) server.uri();
    return new NbdUri.Unix(plain.socket(), plain.exportName(), Optional.of(tls));
  }
}
