// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What `query-qmp-schema` says of the commands that we took from QEMU, QEMU says of its own. That
/// it is true of ours is checked with every message of the dialogues, see [DialoguePlayer].
@Timeout(60)
final class QmpSchemaTest {
  /// What we have added, to be found in the schema by who looks for it.
  private static final Set<String> ADDED =
      Set.of(
          "transaction.actions[].type: fleecing-start", "transaction returns.x-nbdfleece-snapshot");

  /// What QEMU 7.2 has not yet.
  private static final Pattern LATER =
      Pattern.compile(
          ".*\\.(active|min-cluster-size|handshake-max-seconds)"
              + "|query-block-jobs returns\\[]\\.type: enum, there builtin");

  @TempDir private Path directory;

  private QmpSchema schema(DialoguePeer peer) throws IOException {
    Path place = Files.createDirectories(directory.resolve(peer.name()));
    Path _ = Images.sparse(place.resolve("vda.img"), 1 << 20);
    try (DialoguePeer.Running running =
            peer.start(place, List.of(new Dialogue.Disk("vda", 1 << 20, true)));
        ControlSocket control = ControlSocket.connect(running.control())) {
      return QmpSchema.of(control);
    }
  }

  @Test
  void whatWeSayOfQemusCommandsTheNewQemuSaysToo() throws IOException {
    QmpSchema qemu = schema(DialoguePeer.STORAGE_DAEMON_10);
    assertEquals(new TreeSet<>(ADDED), schema(DialoguePeer.NBDFLEECE).unlike(qemu));
  }

  @Test
  void whatWeSayOfQemusCommandsTheOldQemuSaysTooAsFarAsItGoes() throws IOException {
    QmpSchema qemu = schema(DialoguePeer.STORAGE_DAEMON);
    Set<String> unlike =
        schema(DialoguePeer.NBDFLEECE).unlike(qemu).stream()
            .filter(each -> !LATER.matcher(each).matches())
            .collect(Collectors.toCollection(TreeSet::new));
    assertEquals(new TreeSet<>(ADDED), unlike);
  }
}
