// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// What commands ask of the control socket, and what they make of the answers.
@Timeout(60)
final class ControlCommandsTest {
  private static final String BITMAPS =
      "{'return':[{'node':'vda','name':'b0','count':131072,'granularity':65536,'recording':true,"
          + "'busy':false,'persistent':true,'inconsistent':false,'checkpoint':false},"
          + "{'node':'vda','name':'b1','count':0,'granularity':512,'recording':false,"
          + "'busy':true,'persistent':false,'inconsistent':false,'checkpoint':true},"
          + "{'node':'vdb','name':'b0','count':0,'granularity':65536,'recording':false,"
          + "'busy':false,'persistent':true,'inconsistent':true,'checkpoint':false}]}";
  private static final String CHECKPOINTS =
      "{'return':[{'disk':'vda','name':'c1','created':'2026-11-21T03:12:44Z',"
          + "'granularity':65536,'own-dirty-bytes':1048576,'since-dirty-bytes':3145728,"
          + "'persistent':true,'inconsistent':false},"
          + "{'disk':'vda','name':'c2','created':'2026-11-21T04:12:44Z','since':'c1',"
          + "'granularity':65536,'own-dirty-bytes':2097152,'since-dirty-bytes':2097152,"
          + "'pending-snapshot':'inc1','persistent':true,'inconsistent':false}]}";
  private static final String INCREMENT =
      "{'return':{'name':'inc1','created':'2026-11-21T03:12:44Z','freeze-nanos':1300000,"
          + "'access':'read-only','on-cbw-error':'break-snapshot','broken':false,"
          + "'checkpoint':'c2','since':'c1','outside':'data','ttl':7200,'seconds-left':7199,"
          + "'idle-ttl':600,'max-preserved':1073741824,"
          + "'disks':[{'disk':'vda','export':'vda@inc1','size-bytes':1073741824,"
          + "'preserved-bytes':0,'since':'c1','bitmap':'c1','dirty-bytes':12582912,'clients':0,"
          + "'uris':['nbd+unix:///vda@inc1?socket=/s']}]}}";

  private final PrintStream stdout = System.out;
  private final PrintStream stderr = System.err;
  private final InputStream stdin = System.in;
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
    System.setIn(stdin);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "bitmap add vda b0 --granularity 4K --persistent --disabled"
            + " | {'execute':'block-dirty-bitmap-add','arguments':{'node':'vda','name':'b0',"
            + "'granularity':4096,'persistent':true,'disabled':true}}",
        "bitmap add vda b0"
            + " | {'execute':'block-dirty-bitmap-add','arguments':{'node':'vda','name':'b0'}}",
        "bitmap remove vda b0"
            + " | {'execute':'block-dirty-bitmap-remove','arguments':{'node':'vda','name':'b0'}}",
        "bitmap clear vda b0"
            + " | {'execute':'block-dirty-bitmap-clear','arguments':{'node':'vda','name':'b0'}}",
        "bitmap enable vda b0"
            + " | {'execute':'block-dirty-bitmap-enable','arguments':{'node':'vda','name':'b0'}}",
        "bitmap disable vda b0"
            + " | {'execute':'block-dirty-bitmap-disable','arguments':{'node':'vda','name':'b0'}}",
        "bitmap merge vda sum b0 vdb/b1"
            + " | {'execute':'block-dirty-bitmap-merge','arguments':{'node':'vda','target':'sum',"
            + "'bitmaps':['b0',{'node':'vdb','name':'b1'}]}}",
        "bitmap mark vda b0 1M:64K 0:512"
            + " | {'execute':'x-nbdfleece-bitmap-mark','arguments':{'node':'vda','name':'b0',"
            + "'ranges':[{'offset':1048576,'length':65536},{'offset':0,'length':512}]}}",
        "bitmap list | {'execute':'x-nbdfleece-query-bitmaps','arguments':{}}",
        "bitmap list vda | {'execute':'x-nbdfleece-query-bitmaps','arguments':{'node':'vda'}}",
        "bitmap dump vda b0"
            + " | {'execute':'x-nbdfleece-bitmap-dump','arguments':{'node':'vda','name':'b0'}}",
        "checkpoint list vda"
            + " | {'execute':'x-nbdfleece-query-checkpoints','arguments':{'disk':'vda'}}",
        "checkpoint delete c1"
            + " | {'execute':'x-nbdfleece-checkpoint-delete','arguments':{'name':'c1'}}",
        "checkpoint delete c1 vda vdb"
            + " | {'execute':'x-nbdfleece-checkpoint-delete','arguments':"
            + "{'name':'c1','disks':['vda','vdb']}}",
        "release s --success"
            + " | {'execute':'fleecing-stop','arguments':{'name':'s','success':true}}",
        "release s --failed"
            + " | {'execute':'fleecing-stop','arguments':{'name':'s','success':false}}",
        "release s | {'execute':'fleecing-stop','arguments':{'name':'s'}}",
        "snapshot vda --checkpoint c2 --since c1 --bitmap-name b --outside zero --ttl 2h"
            + " --idle-ttl 10m"
            + " | {'execute':'fleecing-start','arguments':{'disks':['vda'],'access':'read-only',"
            + "'checkpoint':'c2','since':'c1','bitmap-name':'b','outside':'zero','ttl':7200,"
            + "'idle-ttl':600}}",
        "snapshot --max-preserved 1.5G"
            + " | {'execute':'fleecing-start','arguments':{'disks':[],'access':'read-only',"
            + "'max-preserved':1610612736}}",
        "cache-resize --ram 512M --scratch-limit 0"
            + " | {'execute':'cache-resize','arguments':{'ram':536870912,'scratch-limit':0}}",
        "cache-resize --scratch-limit 20G"
            + " | {'execute':'cache-resize','arguments':{'scratch-limit':21474836480}}",
        "qmp x a.b=1 c=d | {'execute':'x','arguments':{'a':{'b':1},'c':'d'}}"
      })
  void aCommandIsOneRequest(String arguments, String request) throws IOException {
    try (ScriptedControl control = new ScriptedControl(socket(), "{'return':{}}")) {
      assertEquals(0, run(arguments, control), err());
      assertEquals(List.of(Json.line(Json.parse(request.getBytes(UTF_8)))), control.asked());
    }
  }

  @Test
  void bitmapsAreATable() throws IOException {
    try (ScriptedControl control = new ScriptedControl(socket(), BITMAPS)) {
      assertEquals(0, run("bitmap list", control), err());
    }
    assertEquals(
        List.of(
            "DISK  BITMAP      DIRTY  GRANULARITY  STATE",
            "vda   b0      128.0 KiB     64.0 KiB  recording, persistent",
            "vda   b1            0 B        512 B  disabled, busy, checkpoint",
            "vdb   b0            0 B     64.0 KiB  INCONSISTENT: remove it, back up in full"),
        out().lines().toList());
  }

  @Test
  void checkpointsTellWhatTheNextIncrementalWouldCopy() throws IOException {
    try (ScriptedControl control = new ScriptedControl(socket(), CHECKPOINTS)) {
      assertEquals(0, run("checkpoint list", control), err());
    }
    List<String> lines = out().lines().toList();
    assertTrue(
        lines.get(1).matches("vda +c1 +2026-11-2\\d .* 1.0 MiB +3.0 MiB +persistent"), out());
    assertTrue(lines.get(2).endsWith("pending, of snapshot inc1"), out());
  }

  @Test
  void aDumpOfSeveralPagesIsOneList() throws IOException {
    String first = "{'return':{'extents':[{'offset':0,'length':512}],'next-offset':1024}}";
    String second = "{'return':{'extents':[{'offset':1024,'length':512}]}}";
    try (ScriptedControl control = new ScriptedControl(socket(), first, second, first, second)) {
      assertEquals(0, run("bitmap dump vda b0", control), err());
      assertEquals(
          "           0          512    1  dirty\n        1024          512    1  dirty\n", out());
      assertTrue(control.asked().get(1).contains("\"offset\":1024"), control.asked().toString());
      out.reset();
      assertEquals(0, run("bitmap dump vda b0 --json", control), err());
      assertEquals(2, Json.parse(out.toByteArray()).size(), out());
    }
  }

  @Test
  void anIncrementSaysWhatHasChangedAndWhatToDoNext() throws IOException {
    try (ScriptedControl control = new ScriptedControl(socket(), INCREMENT)) {
      assertEquals(0, run("snapshot vda --name inc1 --checkpoint c2 --since c1", control), err());
    }
    assertEquals(
        List.of(
            "vda  nbd+unix:///vda@inc1?socket=/s  since c1: 12.0 MiB of 1.0 GiB changed",
            "snapshot \"inc1\" of 1 disk: writes were held for 1.3 ms",
            "ends by itself in 2 h, when idle for 10 min",
            "breaks beyond 1.0 GiB preserved",
            "next:",
            "  nbdinfo --map=qemu:dirty-bitmap:c1 'nbd+unix:///vda@inc1?socket=/s'",
            "  nbdfleece pull --since c1 'nbd+unix:///vda@inc1?socket=/s' vda-inc1.delta",
            "  nbdfleece release inc1 --success    # when the backup is safe: checkpoint c2 stands;"
                + " else --failed"),
        out().lines().toList());
  }

  @ParameterizedTest
  @CsvSource({"4", "10", "11", "64"})
  void theServersExitCodeIsOurs(int code) throws IOException {
    String refusal =
        "{'error':{'class':'GenericError','desc':'no','x-nbdfleece-exit-code':" + code + "}}";
    try (ScriptedControl control = new ScriptedControl(socket(), refusal, refusal)) {
      assertEquals(code, run("bitmap clear vda b0", control));
      assertEquals(code, run("qmp query-status", control));
      assertEquals("nbdfleece: no\nnbdfleece: no\n", err());
    }
  }

  @Test
  void eventsAreLinesUntilTheServerEnds() throws IOException {
    String events =
        "{'event':'X_NBDFLEECE_SNAPSHOT_ENDED','data':{'snapshot':'n','success':true,"
            + "'reason':'its time'},'timestamp':{'seconds':1795231964,'microseconds':1}}"
            + "{'event':'SHUTDOWN','timestamp':{'seconds':1795231965,'microseconds':1}}";
    try (ScriptedControl control = new ScriptedControl(socket(), events)) {
      assertEquals(0, run("events", control), err());
    }
    List<String> lines = out().lines().toList();
    assertTrue(
        lines
            .get(0)
            .endsWith("  X_NBDFLEECE_SNAPSHOT_ENDED  snapshot=n success=true reason=\"its time\""),
        out());
    assertTrue(lines.get(1).endsWith("  SHUTDOWN"), out());
  }

  @Test
  void linesOfStandardInputRunUpToTheFirstThatFails() throws IOException {
    System.setIn(
        new ByteArrayInputStream("query-name\ntransaction(\nabort\n)\nquit\n".getBytes(UTF_8)));
    try (ScriptedControl control =
        new ScriptedControl(
            socket(),
            "{'return':{'name':'x'}}",
            "{'error':{'class':'GenericError','desc':'Transaction aborted'}}")) {
      assertEquals(1, run("qmp", control), err());
      assertEquals(2, control.asked().size());
      assertTrue(control.asked().get(1).contains("\"type\":\"abort\""));
    }
    assertEquals("nbdfleece: Transaction aborted\n", err());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "bitmap",
        "bitmap add vda",
        "bitmap mark vda b0",
        "bitmap mark vda b0 1M",
        "bitmap mark vda b0 1M:x",
        "bitmap merge vda b0",
        "checkpoint",
        "checkpoint delete",
        "release s --success --failed",
        "snapshot --outside zero",
        "snapshot --bitmap-name b",
        "snapshot --outside nothing --since c1",
        "snapshot --ttl 0",
        "snapshot --ttl 500ms",
        "snapshot --max-preserved x",
        "cache-resize",
        "snapshot --ttl 2w",
        "qmp a=1 b",
        "apply x.delta",
        "pull --since c1 --resume nbd://x y",
        "pull --since c1 nbd://x -"
      })
  void wrongArgumentsAreAUsageErrorInOneLine(String arguments) throws IOException {
    try (ScriptedControl control = new ScriptedControl(socket())) {
      boolean local = arguments.startsWith("apply") || arguments.startsWith("pull");
      int code = local ? Main.run(arguments.split(" ", -1)) : run(arguments, control);
      assertEquals(64, code, err());
      assertEquals(1, err().lines().count(), err());
      assertEquals(List.of(), control.asked());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"bitmap", "checkpoint", "qmp", "events", "apply", "bitmap add", "cache-resize"})
  void everyCommandHasHelp(String command) {
    List<String> words = new ArrayList<>(List.of(command.split(" ", -1)));
    words.add("--help");
    assertEquals(0, Main.run(words.toArray(new String[0])), err());
    assertTrue(out().startsWith("Usage: nbdfleece " + command), out());
    assertTrue(out().lines().allMatch(line -> line.length() <= 100), out());
  }

  private Path socket() {
    return directory.resolve("qmp.sock");
  }

  private static int run(String arguments, ScriptedControl control) {
    List<String> words = new ArrayList<>(List.of(arguments.split(" ", -1)));
    words.addAll(List.of("--qmp", control.path()));
    return Main.run(words.toArray(new String[0]));
  }

  private String out() {
    return out.toString(UTF_8);
  }

  private String err() {
    return err.toString(UTF_8);
  }
}
