// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.exportInfo;
import static io.nbdfleece.nbd.client.ScriptedServer.optionReply;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Servers that want to keep the client busy, or fill its memory, before the first request.
@Timeout(60)
final class HostileHandshakeTest {
  private static final byte[] NOTHING = {};

  @TempDir Path directory;

  private static void flood(ScriptedServer.Peer peer, byte[] reply) throws IOException {
    var many = bytes();
    for (int i = 0; i < 20; i++) {
      many.raw(reply);
    }
    while (true) {
      peer.send(many.array());
    }
  }

  private static void assertFlooded(ScriptedServer server) {
    ClientOptions all = ClientOptions.defaults().withContexts(List.of(ClientOptions.ALL_CONTEXTS));
    IOException error =
        assertThrows(IOException.class, () -> NbdClient.connect(server.uri(), all).close());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains("violated"), message);
    assertTrue(message.contains("more than 16777216 bytes"), message);
  }

  @Test
  void endlessContextsAreCutOff() throws Exception {
    byte[] context = optionReply(9, 4, bytes().u32(0).text("x:" + "y".repeat(4000)).array());
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              peer.option();
              peer.send(optionReply(11, 1, NOTHING));
              peer.option();
              flood(peer, context);
            })) {
      assertFlooded(server);
    }
  }

  @Test
  void endlessInformationIsCutOff() throws Exception {
    byte[] information = optionReply(7, 3, bytes().u16(9).raw(new byte[8000]).array());
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              peer.greet();
              for (int option = peer.option(); option != 7; option = peer.option()) {
                peer.send(optionReply(option, 1, NOTHING));
              }
              flood(peer, information);
            })) {
      assertFlooded(server);
    }
  }

  @Test
  void ofManyContextsThe64FirstAreTaken() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.greet();
                  for (int option = peer.option(); option != 7; option = peer.option()) {
                    int count = option == 9 ? 1000 : option == 10 ? 64 : 0;
                    for (int i = 0; i < count; i++) {
                      peer.send(optionReply(option, 4, bytes().u32(i).text("x:" + i).array()));
                    }
                    peer.send(optionReply(option, 1, NOTHING));
                  }
                  peer.send(exportInfo(4096, 1));
                  peer.send(optionReply(7, 1, NOTHING));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended(ClientOptions.ALL_CONTEXTS)) {
      assertEquals(64, client.negotiated().contexts().size());
      assertEquals("x:63", client.negotiated().contexts().getLast());
    }
  }

  @Test
  void wildcardStandsForWhatTheServerListsBelowIt() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  peer.greet();
                  for (int option = peer.option(); option != 7; option = peer.option()) {
                    List<String> contexts =
                        switch (option) {
                          case 9 -> List.of("base:allocation", "q:a", "q:b", "qq:c");
                          case 10 -> List.of("q:a", "q:b");
                          default -> List.of();
                        };
                    for (String context : contexts) {
                      byte[] payload = bytes().u32(contexts.indexOf(context)).text(context).array();
                      peer.send(optionReply(option, 4, payload));
                    }
                    peer.send(optionReply(option, 1, NOTHING));
                  }
                  peer.send(exportInfo(4096, 1));
                  peer.send(optionReply(7, 1, NOTHING));
                  peer.awaitClose();
                });
        NbdClient client = server.connectExtended("q:")) {
      assertEquals(List.of("q:a", "q:b"), client.negotiated().contexts());
    }
  }
}
