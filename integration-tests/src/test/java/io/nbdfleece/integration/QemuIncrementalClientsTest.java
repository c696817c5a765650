// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.integration.DirtyMap.Range;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// That the clients of the contract do with QEMU what it says: else it would prove nothing of us.
final class QemuIncrementalClientsTest extends IncrementalClientsContract {
  @Override
  Target start(Path directory) throws IOException {
    byte[] base = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 99);
    byte[] frozen = base.clone();
    Path socket = directory.resolve("nbd.sock");
    DialoguePeer.Running daemon =
        DialoguePeer.STORAGE_DAEMON.start(
            directory, List.of(new Dialogue.Disk("vda", SIZE_BYTES, true)));
    try (ControlSocket control = ControlSocket.connect(daemon.control())) {
      execute(control, "block-dirty-bitmap-add", "{'node': 'vda', 'name': 'c1'}");
      execute(
          control,
          "nbd-server-start",
          "{'addr': {'type': 'unix', 'data': {'path': '" + socket + "'}}}");
      execute(
          control,
          "block-export-add",
          "{'type': 'nbd', 'id': 'guest', 'node-name': 'vda', 'name': 'guest', 'writable': true}");
      try (NbdClient guest =
          NbdClient.connect(new NbdUri.Unix(socket, "guest"), List.of("base:allocation"))) {
        IncrementalClientsTest.change(guest, frozen);
      }
      execute(control, "block-export-del", "{'id': 'guest'}");
      execute(control, "block-dirty-bitmap-disable", "{'node': 'vda', 'name': 'c1'}");
      execute(
          control,
          "block-export-add",
          "{'type': 'nbd', 'id': 'e', 'node-name': 'vda', 'name': 'e', 'bitmaps': ['c1']}");
    }
    List<Range> dirty = IncrementalClientsTest.changed();
    return new Target(socket, "e", base, frozen, dirty, daemon::close);
  }

  private static void execute(ControlSocket control, String command, String arguments)
      throws IOException {
    control.send("{'execute': '" + command + "', 'arguments': " + arguments + "}");
    JsonNode answer = control.receive();
    while (answer.has("event")) {
      answer = control.receive();
    }
    if (!answer.has("return")) {
      throw new IOException(command + ": " + answer);
    }
  }
}
