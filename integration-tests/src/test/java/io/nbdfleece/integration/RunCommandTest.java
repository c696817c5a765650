// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// `serve --run COMMAND`, and private sockets.
@Timeout(120)
final class RunCommandTest {
  private static final int SIZE_BYTES = 1 << 20;

  @TempDir private Path directory = Path.of("");
  private Path image = Path.of("");

  @BeforeEach
  void writeImage() throws IOException {
    image = Images.sparse(directory.resolve("disk.img"), SIZE_BYTES);
  }

  @Test
  void theExitCodeIsThatOfTheCommand() throws IOException {
    Command.Result _ = run("exit 7").exits(7);
    Command.Result _ = run("kill -KILL $$").exits(137);
  }

  @Test
  void theCommandFindsTheServerAndOwnsStandardOutput() throws IOException {
    Command.Result size = run("'" + Peer.NBDINFO.path() + "' --size \"$uri\"").succeeds();
    assertEquals(SIZE_BYTES + "\n", size.out());
  }

  @Test
  void theVariablesAreThoseOfNbdkitAndOneMore() throws IOException {
    String[] values =
        run("echo \"$exportname|$uri|$nbd|$port|$unixsocket|$tls|$qmp|$NBDFLEECE_QMP\"; "
                + "ls \"$qmp\"")
            .succeeds()
            .out()
            .split("[|\n]", -1);
    assertEquals("disk", values[0]);
    assertEquals("nbd+unix:///disk?socket=" + values[4], values[1]);
    assertEquals(values[1], values[2]);
    assertEquals("", values[3]);
    assertEquals("", values[5]);
    assertEquals(values[6], values[7]);
    assertEquals(values[6], values[8]);
    Path place = Path.of(values[4]).getParent();
    assertEquals(place, Path.of(values[6]).getParent());
    assertFalse(Files.exists(place), "the private directory goes with the server");
  }

  @Test
  void anAddressThatIsGivenIsTheOneThatIsUsed() throws IOException {
    String[] values =
        run("echo \"$port|$unixsocket|$uri\"", "--port", "0")
            .succeeds()
            .out()
            .strip()
            .split("[|]", -1);
    assertTrue(Integer.parseInt(values[0]) > 0);
    assertEquals("", values[1]);
    assertEquals("nbd://127.0.0.1:" + values[0] + "/disk", values[2]);
  }

  @Test
  void ourOwnCommandsFindTheServer() throws IOException {
    String status =
        Program.client("status", "--json").stream()
            .map(word -> "'" + word + "'")
            .collect(Collectors.joining(" "));
    JsonNode json = run(status).succeeds().json();
    assertEquals("disk", json.path("disks").get(0).path("name").asString(), json::toString);
  }

  @Test
  void theCommandDoesNotSpeakToTheServiceManager() throws IOException {
    Command.Result result =
        Command.run(
                Program.serve("--run", "echo \"[$NOTIFY_SOCKET$LISTEN_PID]\"", image.toString()),
                Map.of("NOTIFY_SOCKET", "/nonexistent/notify", "LISTEN_PID", "1"))
            .succeeds();
    assertEquals("[]\n", result.out());
  }

  @Test
  void aServerThatIsToldToEndEndsTheCommand() throws IOException {
    Path pid = directory.resolve("pid");
    List<String> command =
        Program.serve("--run", "echo $$ > '" + pid + "'; sleep 1000; true", image.toString());
    Process serve =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("log").toFile())
            .start();
    try {
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> Files.exists(pid) && !Files.readString(pid).isEmpty());
    } finally {
      serve.destroy();
    }
    assertEquals(143, Command.await(serve, command), Files.readString(directory.resolve("log")));
    assertFalse(
        ProcessHandle.of(Long.parseLong(Files.readString(pid).strip()))
            .map(ProcessHandle::isAlive)
            .orElse(false));
  }

  @Test
  void aPrivateSocketIsInADirectoryOfItsOwnThatGoesWithIt() throws Exception {
    List<String> command = Program.serve("-U", "-", "--json", image.toString());
    Process serve =
        new ProcessBuilder(command).redirectError(directory.resolve("log").toFile()).start();
    Path place;
    try {
      JsonNode ready = Command.parse(String.valueOf(serve.inputReader().readLine()));
      Path qmp = Path.of(ready.path("control_socket").asString());
      place = Path.of(String.valueOf(qmp.getParent()));
      assertEquals(
          "nbd+unix:///disk?socket=" + place.resolve("nbd.sock"),
          ready.path("disks").get(0).path("uris").get(0).asString());
      assertEquals(
          "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(place)));
    } finally {
      serve.destroy();
    }
    assertEquals(0, Command.await(serve, command));
    assertFalse(Files.exists(place));
  }

  @Test
  void aServerEndsWithItsParent() throws Exception {
    // The shell starts it in the background and ends.
    String serve =
        Program.serve("-U", "-", "--exit-with-parent", "-P", directory + "/pid", image.toString())
            .stream()
            .map(word -> "'" + word + "'")
            .collect(Collectors.joining(" "));
    Path pid = directory.resolve("pid");
    String wait = "while [ ! -s '" + pid + "' ]; do sleep 0.1; done; cat '" + pid + "'";
    Command.Result shell =
        Command.run("sh", "-c", serve + " >/dev/null 2>&1 </dev/null & " + wait).succeeds();
    long server = Long.parseLong(shell.out().strip());
    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .until(() -> ProcessHandle.of(server).isEmpty() && !Files.exists(pid));
  }

  private Command.Result run(String command, String... options) throws IOException {
    return Command.run(Command.join(Program.serve("--run", command, image.toString()), options));
  }
}
