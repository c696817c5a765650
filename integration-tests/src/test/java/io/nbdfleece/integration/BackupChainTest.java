// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A full backup, two incremental ones, and what they restore, with the program as it is shipped.
@Timeout(180)
final class BackupChainTest {
  private static final int SIZE_BYTES = 4 << 20;
  private static final long SEED = Long.getLong("test.seed", 20261121);

  private byte[] disk = new byte[0];
  private PackagedServer server;

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void backUp() throws IOException {
    Path vda = directory.resolve("vda.img");
    disk = Images.random(vda, SIZE_BYTES, SEED);
    server = PackagedServer.in(directory).disk("vda", vda).start();
    backUp("full.img", "--checkpoint", "c1");
    write(1 << 20, 128 << 10, 7);
    write(3 << 20, 64 << 10, 8);
    backUp("inc1.delta", "--checkpoint", "c2", "--since", "c1");
    write(1 << 20, 64 << 10, 0);
    write(2 << 20, 64 << 10, 9);
    backUp("inc2.delta", "--checkpoint", "c3", "--since", "c2");
    Path _ = Files.copy(path("full.img"), path("restored.img"));
    Path _ = Files.copy(path("full.img.point"), path("restored.img.point"));
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private Path path(String name) {
    return directory.resolve(name);
  }

  private void backUp(String file, String... options) throws IOException {
    List<String> snapshot = new ArrayList<>(List.of("snapshot", "vda", "--name", "s"));
    snapshot.addAll(List.of(options));
    Command.Result _ = server.run(snapshot.toArray(String[]::new)).succeeds();
    List<String> pull =
        new ArrayList<>(List.of("pull", server.uri("vda@s").toString(), path(file).toString()));
    if (file.endsWith(".delta")) {
      pull.add("--since");
    }
    Command.Result _ = server.run(pull.toArray(String[]::new)).succeeds();
    Command.Result _ = server.run("release", "s", "--success").succeeds();
  }

  private void write(int offsetBytes, int lengthBytes, int value) throws IOException {
    try (NbdClient guest = server.connect("vda")) {
      Images.write(guest, offsetBytes, Images.filled(lengthBytes, value));
    }
    Arrays.fill(disk, offsetBytes, offsetBytes + lengthBytes, (byte) value);
  }

  private Command.Result apply(String... files) throws IOException {
    return Command.run(
        Program.client(
            Command.join(
                    List.of("apply"),
                    Arrays.stream(files).map(file -> path(file).toString()).toArray(String[]::new))
                .toArray(String[]::new)));
  }

  @Test
  void allDeltasInOneCallRestoreTheDisk() throws IOException {
    assertEquals("", apply("inc1.delta", "inc2.delta", "restored.img").succeeds().err());
    assertArrayEquals(disk, Files.readAllBytes(path("restored.img")));
  }

  @Test
  void deltasInCallsOfTheirOwnAreAppliedInOrderOrNotAtAll() throws IOException {
    Command.Result _ =
        apply("inc2.delta", "restored.img").exits(64).says("restored.img: shows checkpoint c1");
    assertArrayEquals(
        Files.readAllBytes(path("full.img")), Files.readAllBytes(path("restored.img")));
    assertEquals("", apply("inc1.delta", "restored.img").succeeds().err());
    assertEquals("", apply("inc2.delta", "restored.img").succeeds().err());
    assertArrayEquals(disk, Files.readAllBytes(path("restored.img")));
    Command.Result _ = apply("inc1.delta", "restored.img").exits(64).says("already");
    assertArrayEquals(disk, Files.readAllBytes(path("restored.img")));
    assertEquals("", apply("inc2.delta", "restored.img").succeeds().err());
    assertArrayEquals(disk, Files.readAllBytes(path("restored.img")));
  }

  @Test
  void aCopyWithoutItsNoteIsTakenWithAWarning() throws IOException {
    Files.delete(path("restored.img.point"));
    Command.Result _ =
        apply("inc1.delta", "inc2.delta", "restored.img").succeeds().says("restored.img.point");
    assertArrayEquals(disk, Files.readAllBytes(path("restored.img")));
  }
}
