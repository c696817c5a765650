// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// The packaged program is killed in the middle of a pull and started again. nbdkit's rate filter
/// makes the pull last; its log counts nothing here, the summaries of the pulls do.
@Timeout(180)
final class PullResumeTest {
  private static final int SIZE_BYTES = 48 << 20;
  private static final int NO_SERVER = 69;
  private static final long SEED = Long.getLong("test.seed", 20261121);

  @TempDir Path directory = Path.of("");
  private byte[] image = new byte[0];
  private Path target = Path.of("");
  private PeerServer slow;

  @BeforeEach
  void serveSlowly() throws IOException {
    Path source = directory.resolve("source.img");
    image = Images.random(source, SIZE_BYTES, SEED);
    target = directory.resolve("out.img");
    startServer("100M");
  }

  /// @param rate in bits a second
  private void startServer(String rate) throws IOException {
    Files.deleteIfExists(directory.resolve("n.sock"));
    slow =
        PeerServer.nbdkit(
            directory.resolve("n.sock"),
            "-r",
            "--filter=rate",
            "file",
            directory.resolve("source.img").toString(),
            "rate=" + rate);
  }

  /// Runs the same command again. nbdkit 1.32 now and then aborts when the client of a request that
  /// its rate filter holds back dies (an assertion of its own): then another one serves the file.
  private Command.Result goOn() throws IOException {
    Command.Result result = Command.run(command());
    for (int tries = 0; result.exitCode() == NO_SERVER && tries < 3; tries++) {
      slow.close();
      startServer("100M");
      result = Command.run(command());
    }
    return result.succeeds();
  }

  @AfterEach
  void stop() {
    slow.close();
  }

  @Test
  void killedAtRandomPointsItGoesOnAndReadsLess() throws IOException {
    Random random = new Random(SEED);
    for (int i = 0; i < 3; i++) {
      Process pull = start();
      long wantedBytes = journalBytes() + 1 + random.nextInt(80);
      Awaitility.await()
          .atMost(Duration.ofSeconds(60))
          .until(() -> !pull.isAlive() || journalBytes() >= wantedBytes);
      pull.destroyForcibly();
      if (Command.await(pull, List.of("pull")) == NO_SERVER) {
        slow.close();
        startServer("100M");
      }
      assertTrue(Files.exists(part()) || Files.exists(target), "seed=" + SEED);
    }
    if (!Files.exists(target)) {
      JsonNode summary = summary(goOn());
      assertTrue(summary.path("resumed_bytes").asLong() > 0, summary::toString);
      assertTrue(summary.path("data_bytes").asLong() < SIZE_BYTES, summary::toString);
      assertEquals(
          SIZE_BYTES,
          summary.path("resumed_bytes").asLong()
              + summary.path("data_bytes").asLong()
              + summary.path("zero_bytes").asLong());
    }
    assertArrayEquals(image, Files.readAllBytes(target), "seed=" + SEED);
    assertFalse(Files.exists(part()), "seed=" + SEED);
    assertFalse(Files.exists(journal()), "seed=" + SEED);
  }

  @Test
  void interruptedItSaysWhatToDoAndGoesOn() throws IOException {
    Process pull = start();
    Awaitility.await().atMost(Duration.ofSeconds(60)).until(() -> Files.exists(journal()));
    Command.Result _ = Command.run("kill", "-INT", Long.toString(pull.pid())).succeeds();
    assertEquals(130, Command.await(pull, List.of("pull")));
    String said =
        new String(pull.getErrorStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
    assertTrue(said.contains("run the same command again to go on"), said);
    Command.Result _ = goOn();
    assertArrayEquals(image, Files.readAllBytes(target));
  }

  @Test
  void aServerThatIsGoneLeavesWhatHasComeForTheNextRun() throws IOException {
    slow.close();
    startServer("20M"); // so that it is far from its end even if syncing takes seconds
    Process pull = start();
    Awaitility.await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> !pull.isAlive() || journalBytes() > 200);
    slow.close();
    assertEquals(1, Command.await(pull, List.of("pull")));
    Files.deleteIfExists(directory.resolve("n.sock"));
    slow =
        PeerServer.nbdkit(
            directory.resolve("n.sock"), "-r", "file", directory.resolve("source.img").toString());
    JsonNode summary = summary(goOn());
    assertTrue(summary.path("resumed_bytes").asLong() > 0, summary::toString);
    assertArrayEquals(image, Files.readAllBytes(target));
  }

  @Test
  void aSecondSnapshotOfTheSameNameIsAnotherSource() throws IOException {
    Path disk = directory.resolve("vda.img");
    byte[] _ = Images.random(disk, 1 << 20, SEED);
    try (PackagedServer server =
        PackagedServer.in(Files.createDirectory(directory.resolve("s")))
            .disk("vda", disk)
            .start()) {
      Command.Result _ = server.run("snapshot", "--name", "nightly").succeeds();
      String uri = server.uri("vda@nightly").toString();
      String description = describe(uri);
      Command.Result _ = server.run("release", "nightly").succeeds();
      Command.Result _ = server.run("snapshot", "--name", "nightly").succeeds();
      assertFalse(description.equals(describe(uri)), description);
    }
  }

  private static String describe(String uri) throws IOException {
    return Command.run(Program.client("info", "--json", uri))
        .succeeds()
        .json()
        .path("exports")
        .get(0)
        .path("description")
        .asString();
  }

  private Process start() throws IOException {
    return new ProcessBuilder(command()).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
  }

  private List<String> command() {
    return Program.client("pull", "--resume", "--json", slow.uri(""), target.toString());
  }

  private static JsonNode summary(Command.Result result) {
    return Command.parse(result.out().lines().reduce((first, second) -> second).orElse("{}"));
  }

  private Path part() {
    return directory.resolve("out.img.part");
  }

  private Path journal() {
    return directory.resolve("out.img.part.map");
  }

  private long journalBytes() throws IOException {
    return Files.exists(journal()) ? Files.size(journal()) : 0;
  }
}
