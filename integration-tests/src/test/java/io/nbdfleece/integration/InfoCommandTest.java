// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece info` beside the real `nbdinfo`, of the same servers.
@Timeout(120)
final class InfoCommandTest {
  // Older versions of nbdinfo do not have the first, newer ones print "4096 (4K)"; ours has no
  // line "content".
  private static final Set<String> VERSIONS_DIFFER =
      Set.of("can_block_status_payload", "content", "extended");

  @TempDir Path directory = Path.of("");

  @Test
  void nbdkitLooksAsInNbdinfo() throws IOException {
    try (PeerServer server = PeerServer.nbdkit(directory.resolve("n.sock"), "memory", "10485761")) {
      assertSameAsNbdinfo(server.uri(""));
    }
  }

  @Test
  void nbdkitWithBlockSizesAndWithoutWritesLooksAsInNbdinfo() throws IOException {
    try (PeerServer server =
        PeerServer.nbdkit(
            directory.resolve("n.sock"),
            "-r",
            "--filter=blocksize-policy",
            "memory",
            "1G",
            "blocksize-minimum=512",
            "blocksize-preferred=64K",
            "blocksize-maximum=33554432")) {
      assertSameAsNbdinfo(server.uri(""));
    }
  }

  @Test
  void simpleRepliesLookAsInNbdinfo() throws IOException {
    try (PeerServer server =
        PeerServer.nbdkit(directory.resolve("n.sock"), "--no-sr", "memory", "1M")) {
      assertSameAsNbdinfo(server.uri(""));
    }
  }

  @Test
  void qemuWithABitmapLooksAsInNbdinfo() throws IOException {
    Path image = Images.qcow2WithBitmap(directory.resolve("q.qcow2"));
    try (PeerServer server =
        PeerServer.qemuNbd(
            directory.resolve("n.sock"),
            "-f",
            "qcow2",
            "-B",
            "b0",
            "-A",
            "-x",
            "q",
            "-D",
            "my desc",
            image.toString())) {
      assertSameAsNbdinfo(server.uri("q"));
    }
  }

  @Test
  void ourServerLooksAsInNbdinfo() throws IOException {
    Path image = Images.sparse(directory.resolve("vda.img"), 8 << 20);
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start()) {
      Command.Result _ = server.run("snapshot", "--name", "nightly").succeeds();
      assertSameAsNbdinfo(server.uri("vda").toString());
      assertSameAsNbdinfo(server.uri("vda@nightly").toString());
      JsonNode list =
          info("--list", "--json", server.uri("").toString()).succeeds().json().path("exports");
      assertEquals(2, list.size(), list::toString);
      assertEquals("vda@nightly", list.get(1).path("export-name").asString());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "read-only",
        "rotational",
        "tls",
        "cache",
        "df",
        "fast-zero",
        "flush",
        "fua",
        "multi-conn",
        "trim",
        "zero",
        "write",
        "read",
        "connect",
        "structured-reply"
      })
  void anAnswerIsAnExitCodeAsThatOfNbdinfo(String word) throws IOException {
    try (PeerServer server = PeerServer.nbdkit(directory.resolve("n.sock"), "-r", "memory", "1M")) {
      int expected = Command.run(Peer.NBDINFO.path(), "--can", word, server.uri("")).exitCode();
      Command.Result ours = info("--can", word, server.uri("")).exits(expected);
      assertEquals("", ours.out() + ours.err());
    }
  }

  @Test
  void theSizeIsANumber() throws IOException {
    try (PeerServer server = PeerServer.nbdkit(directory.resolve("n.sock"), "memory", "10485761")) {
      assertEquals("10485761\n", info("--size", server.uri("")).succeeds().out());
    }
  }

  @Test
  void failuresHaveTheirExitCodes() throws IOException {
    Command.Result _ = info("--is", "rw", "nbd://localhost").exits(64).says("rw", "read-only");
    Command.Result _ =
        info("nbd+unix:///x?socket=" + directory.resolve("none")).exits(69).says("none");
    try (PeerServer server =
        PeerServer.qemuNbd(
            directory.resolve("n.sock"),
            "-f",
            "raw",
            "-x",
            "there",
            Images.sparse(directory.resolve("x.img"), 1 << 20).toString())) {
      Command.Result _ = info(server.uri("gone")).exits(10).says("gone", "there");
    }
  }

  @Test
  void aServerThatWantsTlsHasItsOwnExitCode() throws IOException {
    Path keys = Files.writeString(directory.resolve("keys.psk"), "alice:" + "5a".repeat(32) + "\n");
    try (PeerServer server =
        PeerServer.nbdkit(
            directory.resolve("n.sock"), "--tls=require", "--tls-psk=" + keys, "memory", "1M")) {
      Command.Result _ = info(server.uri("")).exits(12).says("TLS");
      Command.Result _ = map(server.uri("")).exits(12).says("TLS");
    }
  }

  private static void assertSameAsNbdinfo(String uri) throws IOException {
    String nbdinfo = Peer.NBDINFO.path();
    Command.Result theirs = Command.run(nbdinfo, uri).succeeds();
    assertEquals(comparable(theirs.out()), comparable(info(uri).succeeds().out()));
    JsonNode theirJson = Command.run(nbdinfo, "--json", uri).succeeds().json();
    JsonNode ourJson = info("--json", uri).succeeds().json();
    assertEquals(comparable(theirJson), comparable(ourJson));
  }

  private static List<String> comparable(String text) {
    return text.lines()
        .filter(
            line -> VERSIONS_DIFFER.stream().noneMatch(key -> line.startsWith("\t" + key + ":")))
        .map(line -> line.startsWith("\tblock_size") ? line.replaceAll(" \\(.*", "") : line)
        .map(line -> line.replace("using extended", "using structured"))
        .toList();
  }

  private static JsonNode comparable(JsonNode document) {
    ((ObjectNode) document).remove(VERSIONS_DIFFER);
    for (JsonNode export : document.path("exports")) {
      ((ObjectNode) export).remove(VERSIONS_DIFFER);
    }
    return document;
  }

  private static Command.Result info(String... arguments) throws IOException {
    return Command.run(
        Program.client(Command.join(List.of("info"), arguments).toArray(String[]::new)));
  }

  private static Command.Result map(String uri) throws IOException {
    return Command.run(Program.client("map", uri));
  }
}
