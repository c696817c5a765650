// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A backup program that dies leaves a chain that covers everything.
@Timeout(120)
final class VanishedClientTest {
  private static final int SIZE = 1 << 20;
  private static final int GRANULE = 65536;
  private static final String CONTEXT = "qemu:dirty-bitmap:c1";

  @TempDir private Path directory;

  @Test
  void theNextIncrementalCoversWhatTheVanishedOneHad() throws IOException {
    Path image = Images.sparse(directory.resolve("vda.img"), SIZE);
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start();
        ControlSocket control = server.control();
        NbdClient guest = server.connect("vda")) {
      start(control, "full", "checkpoint", "c1");
      stop(control, "full");
      Images.write(guest, 0, Images.filled(1, 1));
      start(control, "inc", "since", "c1", "checkpoint", "c2", "idle-ttl", "3");
      NbdUri uri = new NbdUri.Unix(server.socket(), "vda@inc");
      NbdClient backup = NbdClient.connect(uri, List.of("base:allocation", CONTEXT));
      byte[] _ = Images.read(backup, 0, GRANULE);
      Images.write(guest, 3 * GRANULE, Images.filled(1, 1));
      backup.abort();

      JsonNode ended = control.receive();
      while (!ended.path("event").asString("").equals("X_NBDFLEECE_SNAPSHOT_ENDED")) {
        ended = control.receive();
      }
      assertEquals("inc", ended.path("data").path("name").asString());
      assertFalse(ended.path("data").path("success").asBoolean(true), ended::toString);
      JsonNode checkpoints =
          control.execute("x-nbdfleece-query-checkpoints", ControlSocket.object());
      assertEquals(1, checkpoints.size(), checkpoints::toString);
      int estimated = checkpoints.get(0).path("since-dirty-bytes").asInt();
      assertEquals(2 * GRANULE, estimated, checkpoints::toString);

      start(control, "again", "since", "c1", "checkpoint", "c2");
      try (NbdClient next =
          NbdClient.connect(new NbdUri.Unix(server.socket(), "vda@again"), List.of(CONTEXT))) {
        assertEquals(
            List.of(new DirtyMap.Range(0, GRANULE), new DirtyMap.Range(3 * GRANULE, GRANULE)),
            DirtyMap.read(next, CONTEXT).ranges());
      }
      stop(control, "again");
      assertTrue(server.log().contains("it had no client for 3 s"), server.log());
    }
  }

  private static void start(ControlSocket control, String name, String... options)
      throws IOException {
    ObjectNode arguments = ModelServer.arguments(name, List.of("vda"));
    for (int i = 0; i < options.length; i += 2) {
      if (options[i].endsWith("ttl")) {
        arguments.put(options[i], Integer.parseInt(options[i + 1]));
      } else {
        arguments.put(options[i], options[i + 1]);
      }
    }
    JsonNode _ = control.execute("fleecing-start", arguments);
  }

  private static void stop(ControlSocket control, String name) throws IOException {
    JsonNode _ =
        control.execute(
            "fleecing-stop", ControlSocket.object().put("name", name).put("success", true));
  }
}
