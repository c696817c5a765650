// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/// What a client is told when what it sent is wrong, beside QEMU's text.
@Timeout(30)
final class WrongArgumentsTest {
  private final FakeTarget target = new FakeTarget();
  private Path path = Path.of("");
  private QmpServer server = never();

  @TempDir Path directory = Path.of("");

  @SuppressWarnings("NullAway") // JUnit fills it before each test.
  private static QmpServer never() {
    return null;
  }

  @BeforeEach
  void start() throws IOException {
    path = directory.resolve("qmp.sock");
    server = QmpServer.start(path, target, QmpLimits.defaults());
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'execute':'block-dirty-bitmap-add',"
            + "'arguments':{'node':'vda','name':'b','granularity':2147483648}}",
        "{'execute':'block-dirty-bitmap-add',"
            + "'arguments':{'node':'vda','name':'b','granularity':-1}}",
        "{'execute':'fleecing-start','arguments':{'ttl':0}}",
        "{'execute':'fleecing-start','arguments':{'idle-ttl':0}}",
        "{'execute':'fleecing-start','arguments':{'outside':'zero'}}",
        "{'execute':'fleecing-start','arguments':{'bitmap-name':'b'}}",
        "{'execute':'fleecing-start','arguments':{'since':'c1','bitmap-name':''}}",
        "{'execute':'fleecing-start','arguments':{'since':'c1','bitmap-name':'\\ud800'}}",
        "{'execute':'fleecing-start','arguments':{'name':'a@b'}}",
        "{'execute':'fleecing-start','arguments':{'nme':'a'}}",
        "{'execute':'x-nbdfleece-bitmap-mark',"
            + "'arguments':{'node':'vda','name':'b','ranges':[{'offset':-1,'length':1}]}}",
        "{'execute':'x-nbdfleece-bitmap-mark',"
            + "'arguments':{'node':'vda','name':'b','ranges':[{'offset':1}]}}",
        "{'execute':'no-such-command'}",
        "{'execute':7}",
        "{'execute':'query-version','arguments':[]}",
        "{'execute':'query-version','more':1}",
        "{'execute':'query-version',}",
        "[]",
      })
  void wrongArgumentsExitWithUsage(String message) throws IOException {
    try (RawClient client = RawClient.negotiated(path)) {
      JsonNode error = client.ask(message).path("error");
      assertEquals(
          ExitCode.USAGE.number(), error.path("x-nbdfleece-exit-code").asInt(), error.toString());
      assertTrue(client.ask("{'execute':'query-version'}").has("return"));
      assertTrue(target.transactions.isEmpty());
    }
  }

  @Test
  void aNameUnderWhichABitmapIsExportedFitsAStringOfNbd() throws IOException {
    // 4096 bytes less those of qemu:dirty-bitmap:
    int fits = 4096 - "qemu:dirty-bitmap:".getBytes(UTF_8).length;
    try (RawClient client = RawClient.negotiated(path)) {
      for (String name : List.of("x".repeat(fits + 1), "ü".repeat(fits / 2 + 1), "")) {
        JsonNode error = client.ask(exportedAs(name)).path("error");
        assertEquals(
            "bitmap-name: " + name.getBytes(UTF_8).length + " bytes (expected: 1 to 4078)",
            error.path("desc").asString());
        assertEquals(
            ExitCode.USAGE.number(), error.path("x-nbdfleece-exit-code").asInt(), error.toString());
      }
      assertTrue(target.requests.isEmpty());
      for (String name : List.of("x".repeat(fits), "ü".repeat(fits / 2), "x")) {
        JsonNode answer = client.ask(exportedAs(name));
        assertTrue(answer.has("return"), answer.toString());
      }
    }
  }

  private static String exportedAs(String name) {
    return "{'execute':'fleecing-start','arguments':{'name':'s"
        + name.length()
        + "','since':'c1','bitmap-name':'"
        + name
        + "'}}";
  }

  @Test
  void whatToDoStandsBesideTheText() throws IOException {
    try (RawClient client = RawClient.negotiated(path)) {
      JsonNode error =
          client
              .ask(
                  "{'execute':'block-dirty-bitmap-clear',"
                      + "'arguments':{'node':'vda','name':'inconsistent'}}")
              .path("error");
      assertEquals(
          "Bitmap 'inconsistent' is inconsistent and cannot be used",
          error.path("desc").asString());
      assertEquals(
          "Try block-dirty-bitmap-remove to delete this bitmap from disk",
          error.path("x-nbdfleece-hint").asString());
      assertEquals(
          ExitCode.FULL_BACKUP_NEEDED.number(), error.path("x-nbdfleece-exit-code").asInt());
      assertFalse(client.ask("{'execute':'nope'}").path("error").has("x-nbdfleece-hint"));
      JsonNode full =
          client
              .ask(
                  "{'execute':'block-dirty-bitmap-clear',"
                      + "'arguments':{'node':'vda','name':'no-room'}}")
              .path("error");
      assertEquals(
          "write /state/vda/bitmaps.new: No space left on device (ENOSPC)",
          full.path("desc").asString());
      assertEquals("free space there, and try again", full.path("x-nbdfleece-hint").asString());
    }
  }
}
