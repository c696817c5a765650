// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.FakeTarget;
import io.nbdfleece.cli.control.QmpLimits;
import io.nbdfleece.cli.control.QmpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;

/// What a person or a script sees: text and exit codes.
@Timeout(60)
final class MainTest {
  private final PrintStream stdout = System.out;
  private final PrintStream stderr = System.err;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void capture() {
    System.setOut(new PrintStream(out, true, UTF_8));
    System.setErr(new PrintStream(err, true, UTF_8));
  }

  @AfterEach
  void restore() {
    System.setOut(stdout);
    System.setErr(stderr);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "sevre",
        "serve",
        "serve --port=x disk.img",
        "serve --port 70000 disk.img",
        "serve --ram 1X disk.img",
        "serve --on-cbw-error never disk.img",
        "serve --ipaddr 0.0.0.0 disk.img",
        "serve --bogus",
        "release",
        "pull",
        "pull x",
        "pull ftp://x y",
        "pull -C 0 nbd://x y",
        "pull --progress=fancy nbd://x y",
        "pull --resume --no-sync nbd://x y",
        "pull --resume nbd://x -",
        "pull --reconnect-delay=-1 nbd://x y",
        "info",
        "info ftp://x",
        "info --is rw nbd://x",
        "info --size --list nbd://x",
        "map",
        "map --context qemu: nbd://x",
        "snapshot --discard --read-once",
        "snapshot --max-preserved 0",
        "snapshot --cbw-timeout=-1",
        "snapshot --cbw-timeout 9999999999",
        "snapshot --ttl 10ms",
        "snapshot --ttl 999999999d",
        "snapshot --idle-ttl 999999999d",
        "cache-resize",
        "cache-resize --ram=-1",
        "cache-resize --scratch-limit 9999999T",
        "serve --write-budget 999999999d disk.img",
        "serve --write-budget fast disk.img",
        "serve --cbw-timeout 9999999999999 disk.img",
        "serve --slow-from 0 disk.img",
        "serve --slow-from 101 disk.img",
        "serve --slow-from half disk.img",
        "serve --cbw-timeout 99999999999999999999 disk.img",
        "serve --reconnect-delay 99999999999 disk.img",
        "list extra",
        "bogus --help",
        "serve --ram 0 DIR/a.img",
        "serve --scratch-limit 1 DIR/a.img",
        "serve --cluster-size 5000 DIR/a.img"
      })
  void wrongArgumentsAreAUsageErrorInOneLine(String arguments) throws IOException {
    Path _ = Files.write(directory.resolve("a.img"), new byte[4096]);
    assertEquals(64, run(split(arguments.replace("DIR", directory.toString()))), err());
    assertTrue(err().startsWith("nbdfleece: "), err());
    assertEquals(1, err().lines().count(), err());
    assertFalse(err().contains("TypeConverter") || err().contains(" an int"), err());
    assertEquals("", out());
  }

  @ParameterizedTest
  @CsvSource({
    "snapshto, no command 'snapshto' (did you mean snapshot?): see `nbdfleece --help`",
    "snap --name x, no command 'snap' (did you mean snapshot?): see `nbdfleece --help`",
    "sevre disk.img, no command 'sevre' (did you mean serve?): see `nbdfleece --help`",
    "xyzzy, no command 'xyzzy': see `nbdfleece --help`",
    "warmup, no command 'warmup': see `nbdfleece --help`",
    "bitmap lits vda, no command 'lits' (did you mean list?): see `nbdfleece bitmap --help`",
    "help puul, no command 'puul' (did you mean pull?): see `nbdfleece --help`",
    "list extra, argument not expected: 'extra': see `nbdfleece list --help`",
    "list --jsno, unknown option: '--jsno' (did you mean --json?): see `nbdfleece list --help`",
    "info --sise x, unknown option: '--sise' (did you mean --size?): see `nbdfleece info --help`",
    "serve --foo=1 x, unknown option: '--foo=1': see `nbdfleece serve --help`"
  })
  void aTypingMistakeIsNamedAndWhatWasMeantIsProposed(String arguments, String message) {
    assertEquals(64, run(split(arguments)));
    assertEquals("nbdfleece: " + message + "\n", err());
  }

  @Test
  void anErrorNamesTheOptionAndWhatToGive() throws IOException {
    String image = Files.write(directory.resolve("a.img"), new byte[4096]).toString();
    Map<List<String>, String> messages =
        Map.of(
            List.of("serve", "--ram", "0", image),
            "--ram 0 B: give at least 256.0 KiB, which is 16 clusters",
            List.of("serve", "--scratch-limit", "1", image),
            "--scratch-limit 1 B: give at least a cluster, 16.0 KiB, or 0 for RAM only",
            List.of("serve", "--on-cbw-error", "x", image),
            "'x' (expected: break-snapshot or break-guest-write)",
            List.of("pull", "nbd+unix:///x?socket=/none", ""),
            "FILE is empty: name one, or - for standard output",
            List.of("info", "nbd+unix:///x?socket=" + image),
            image + " is no socket: check the URI");
    for (Map.Entry<List<String>, String> each : messages.entrySet()) {
      err.reset();
      assertNotEquals(0, run(each.getKey().toArray(String[]::new)));
      assertTrue(err().contains(each.getValue()), err());
    }
  }

  @Test
  void eachCommandIsSummedUpInASentence() {
    for (CommandLine command : Main.commands().getSubcommands().values()) {
      CommandLine.Model.UsageMessageSpec usage = command.getCommandSpec().usageMessage();
      String summary = usage.description()[0];
      assertTrue(usage.hidden() || summary.endsWith("."), summary);
    }
  }

  @Test
  void whatRefersToTheOptionBeforeItComesAfterIt() {
    assertEquals(0, run("snapshot", "--help"));
    assertTrue(out().indexOf("      --ttl=") < out().indexOf("      --idle-ttl="), out());
    out.reset();
    assertEquals(0, run("release", "--help"));
    assertTrue(out().indexOf("      --success ") < out().indexOf("      --failed "), out());
  }

  @ParameterizedTest
  @ValueSource(strings = {"snapshot", "release x", "list", "status"})
  void withoutServerACommandSaysHowToStartOne(String command) {
    assertEquals(69, run(split(command + " --qmp " + directory.resolve("none.sock"))));
    assertTrue(err().contains("nbdfleece serve"), err());
    assertTrue(err().contains("none.sock"), err());
  }

  @Test
  void whoWaitsForAServerThatDoesNotAnswerIsTold() throws Exception {
    Path path = directory.resolve("silent.sock");
    CompletableFuture<Integer> command;
    try (ServerSocketChannel silent = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      silent.bind(UnixDomainSocketAddress.of(path));
      command = CompletableFuture.supplyAsync(() -> run("list", "--qmp", path.toString()));
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> err().contains("silent.sock does not answer: waiting on"));
      assertFalse(command.isDone());
    }
    assertNotEquals(0, command.get()); // the connection that nobody accepted has ended
  }

  @Test
  void errorsAreJsonWhenAsked() {
    assertEquals(69, run("list", "--json", "--qmp", directory.resolve("none").toString()));
    JsonNode error = Json.parse(err().getBytes(UTF_8));
    assertEquals("exit_error", error.path("message_type").asString());
    assertEquals(69, error.path("code").asInt());
    err.reset();
    assertEquals(64, run("release", "--json"));
    assertEquals(64, Json.parse(err().getBytes(UTF_8)).path("code").asInt());
  }

  @Test
  void helpListsTheExitCodesThatThereAre() {
    assertEquals(0, run("--help"));
    for (ExitCode code : ExitCode.values()) {
      String line = String.format("%5d  %s", code.number(), code.meaning());
      assertTrue(out().contains(line), line);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"serve", "snapshot", "release", "list", "status", "pull", "demo", "version"})
  void everyCommandHasHelp(String command) {
    assertEquals(0, run(command, "--help"), err());
    assertTrue(out().startsWith("Usage: nbdfleece " + command), out());
    assertTrue(out().contains("--json"), out());
    assertTrue(out().lines().allMatch(line -> line.length() <= 100), out());
  }

  @Test
  void aMissingDiskIsNotFound() {
    assertEquals(10, run("pull", "nbd://127.0.0.1:1/x", directory + "/no/such/file"), err());
  }

  @Test
  void twoDisksOfOneFileAreToldApart() throws IOException {
    Path image = Files.createFile(directory.resolve("a.img"));
    Path link = Files.createSymbolicLink(directory.resolve("b.img"), image);
    assertEquals(11, run("serve", "--disk", "a=" + image, "--disk", "b=" + link), err());
    assertEquals(
        "nbdfleece: disk b, " + link + ": is disk a already: give each disk a file of its own\n",
        err());
  }

  @Test
  void aScratchFileIsNoScratchDirectory() throws IOException {
    Path image = Files.createFile(directory.resolve("a.img"));
    assertEquals(1, run("serve", "--scratch", image.toString(), image.toString()), err());
    assertTrue(err().contains(image + ": is not a directory: give --scratch a directory"), err());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "serve -p 0 -i 127.0.0.1 -U /s -r --insecure --disk a=/nonexistent/a --ram 8M"
            + " --scratch /tmp --scratch-limit 1G --state /st --cluster-size 4K --qmp /q"
            + " --on-cbw-error break-guest-write"
            + " --cbw-timeout 5 -P /p",
        "serve --on-cbw-error break-snapshot /nonexistent/b.img"
      })
  void everyOptionOfServeIsUnderstood(String arguments) {
    // The missing disk is found after all options were read, and before anything is made.
    assertEquals(10, run(split(arguments)), err());
    assertTrue(err().contains("/nonexistent/"), err());
  }

  @Test
  void everyOptionOfSnapshotIsUnderstood() throws Exception {
    try (QmpServer _ = server()) {
      String arguments =
          "snapshot vda --name n --discard --on-cbw-error break-guest-write --cbw-timeout 5";
      assertEquals(0, run(split(arguments + " --qmp " + socket())), err());
    }
  }

  @Test
  void everyOptionOfPullIsUnderstood() {
    String arguments = "pull -C 2 --force --no-sync --progress lines nbd+unix:///x?socket=/none ";
    assertEquals(69, run(split(arguments + directory.resolve("o"))), err());
  }

  @Test
  void snapshotPrintsAUriPerDiskAndTheFreeze() throws Exception {
    try (QmpServer _ = server()) {
      assertEquals(0, run("snapshot", "vda", "vdb", "--name", "nightly", "--qmp", socket()), err());
    }
    assertEquals(
        List.of(
            "vda  nbd+unix:///vda@nightly?socket=/run/nbd.sock",
            "vdb  nbd+unix:///vdb@nightly?socket=/run/nbd.sock",
            "snapshot \"nightly\" of 2 disks: writes were held for 1.3 ms"),
        out().lines().toList());
  }

  @Test
  void snapshotAsJsonHasWhatAScriptNeeds() throws Exception {
    try (QmpServer _ = server()) {
      assertEquals(0, run("snapshot", "--json", "--read-once", "--qmp", socket()), err());
    }
    JsonNode document = Json.parse(out().getBytes(UTF_8));
    assertEquals("read-once", document.path("access").asString());
    assertEquals(
        "nbd+unix:///vdb@snap-1?socket=/run/nbd.sock",
        document.path("disks").path(1).path("uris").path(0).asString());
    assertEquals(1_300_000, document.path("freeze_nanos").asLong());
  }

  @Test
  void codesTellWhatIsMissingAndWhatIsTaken() throws Exception {
    try (QmpServer _ = server()) {
      assertEquals(10, run("snapshot", "vdz", "--qmp", socket()));
      assertEquals(10, run("release", "nightly", "--qmp", socket()));
      assertEquals(0, run("snapshot", "--name", "nightly", "--qmp", socket()));
      assertEquals(11, run("snapshot", "--name", "nightly", "--qmp", socket()));
      assertEquals(0, run("release", "nightly", "--qmp", socket()));
    }
  }

  @Test
  void listShowsDisksAndSnapshots() throws Exception {
    try (QmpServer _ = server()) {
      assertEquals(0, run("snapshot", "vda", "--name", "n", "--qmp", socket()));
      out.reset();
      assertEquals(0, run("list", "--qmp", socket()));
    }
    List<String> lines = out().lines().toList();
    assertEquals(4, lines.size(), out());
    assertTrue(lines.get(0).startsWith("EXPORT"), out());
    assertTrue(lines.get(3).startsWith("vda@n   10.0 GiB  frozen "), out());
  }

  @Test
  void statusShowsTiersAndWhatWritesPaid() throws Exception {
    try (QmpServer _ = server()) {
      assertEquals(0, run("snapshot", "vda", "--name", "n", "--qmp", socket()));
      out.reset();
      assertEquals(0, run("status", "--qmp", socket()));
    }
    for (String part :
        List.of(
            "1,900 had to preserve first: mean 142 µs, longest 3.1 ms",
            "vda@n  preserved 120.0 MiB (RAM 64.0 MiB, disk 56.0 MiB)",
            "RAM    25.0%  64.0/256.0 MiB",
            "disk    0.3%  0.1/20.0 GiB  /var/tmp")) {
      assertTrue(out().contains(part), part + " in\n" + out());
    }
    assertFalse(out().contains("null"), out());
  }

  private QmpServer server() throws java.io.IOException {
    return QmpServer.start(Path.of(socket()), new FakeTarget(), QmpLimits.defaults());
  }

  private String socket() {
    return directory.resolve("qmp.sock").toString();
  }

  private static int run(String... arguments) {
    return Main.run(arguments);
  }

  private static String[] split(String arguments) {
    return arguments.isEmpty() ? new String[0] : arguments.split(" ", -1);
  }

  private String out() {
    return out.toString(UTF_8);
  }

  private String err() {
    return err.toString(UTF_8);
  }
}
