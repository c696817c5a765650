// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The recorded dialogues of `src/test/resources/dialogues`: QEMU must have said what is recorded,
/// and we say the same. `-Dtest.dialogue=NAME` plays one of them.
@Timeout(60)
final class DialogueTest {
  @TempDir private Path directory;

  @ParameterizedTest
  @MethodSource("oursToPlay")
  void weAnswerAsRecorded(Dialogue dialogue) throws IOException {
    DialoguePlayer.play(dialogue, DialoguePeer.NBDFLEECE, directory);
  }

  @ParameterizedTest
  @MethodSource("storageDaemonsToPlay")
  void recordingIsTrueOfTheStorageDaemon(Dialogue dialogue) throws IOException {
    DialoguePlayer.play(dialogue, DialoguePeer.STORAGE_DAEMON, directory);
  }

  @ParameterizedTest
  @MethodSource("newStorageDaemonsToPlay")
  void recordingIsTrueOfTheStorageDaemonOfDebian13(Dialogue dialogue) throws IOException {
    DialoguePlayer.play(dialogue, DialoguePeer.STORAGE_DAEMON_10, directory);
  }

  @ParameterizedTest
  @MethodSource("vmsToPlay")
  void recordingIsTrueOfVirtualMachines(Dialogue dialogue) throws IOException {
    DialoguePlayer.play(dialogue, DialoguePeer.VM, directory);
  }

  private static List<Dialogue> oursToPlay() throws IOException {
    return dialogues(DialoguePeer.NBDFLEECE);
  }

  private static List<Dialogue> storageDaemonsToPlay() throws IOException {
    return dialogues(DialoguePeer.STORAGE_DAEMON);
  }

  private static List<Dialogue> newStorageDaemonsToPlay() throws IOException {
    return dialogues(DialoguePeer.STORAGE_DAEMON_10);
  }

  private static List<Dialogue> vmsToPlay() throws IOException {
    return dialogues(DialoguePeer.VM);
  }

  private static List<Dialogue> dialogues(DialoguePeer peer) throws IOException {
    String wanted = System.getProperty("test.dialogue", "");
    List<Dialogue> dialogues = new ArrayList<>();
    Path all = Program.root().resolve("integration-tests/src/test/resources/dialogues");
    try (Stream<Path> files = Files.list(all)) {
      for (Path file : files.sorted().toList()) {
        if (file.toString().endsWith(wanted + ".qmp")) {
          dialogues.add(Dialogue.parse(file));
        }
      }
    }
    assertTrue(!dialogues.isEmpty(), () -> all + ": no dialogue " + wanted);
    return dialogues.stream().filter(dialogue -> dialogue.isFor(peer.roles())).toList();
  }
}
