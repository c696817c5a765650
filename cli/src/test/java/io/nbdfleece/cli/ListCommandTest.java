// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

final class ListCommandTest {
  private static final JsonNode DISKS =
      json(
          "[{'name':'vda','size-bytes':1073741824,'access':'read-write','clients':1,"
              + "'uris':['nbd+unix:///vda']}]");
  private static final JsonNode SNAPSHOTS =
      json(
          "[{'name':'inc1','created':'2026-11-21T04:27:28.123Z','checkpoint':'c2','since':'c1',"
              + "'outside':'zero','seconds-left':7140,'idle-ttl':600,'disks':[{'export':'vda@inc1',"
              + "'size-bytes':1073741824,'preserved-bytes':8388608,'clients':0,'since':'c1',"
              + "'dirty-bytes':12582912,'uris':['nbd+unix:///vda@inc1']}]},"
              + "{'name':'n','created':'2026-11-21T04:27:28.123Z','disks':[{'export':'vda@n',"
              + "'size-bytes':1073741824,'preserved-bytes':0,'clients':0,'broken-because':'full',"
              + "'uris':['nbd+unix:///vda@n']}]}]");

  private static JsonNode json(String text) {
    return Json.parse(text.getBytes(UTF_8));
  }

  @Test
  void whatMakesASnapshotOneOfAChainHasATableOfItsOwn() {
    assertEquals(
        """
        EXPORT       SIZE  STATE                       PRESERVED  CLIENTS  URI
        vda       1.0 GiB  read-write                                   1  nbd+unix:///vda
        vda@inc1  1.0 GiB  frozen 2026-11-21 TT:TT:28    8.0 MiB        0  nbd+unix:///vda@inc1
        vda@n     1.0 GiB  broken                            0 B        0  nbd+unix:///vda@n

        EXPORT    SINCE  CHANGED                 STARTS        ENDS BY ITSELF
        vda@inc1  c1     12.0 MiB, zero outside  c2 (pending)  in 1 h 59 min, when idle for 10 min
        """,
        withoutHours(ListCommand.text(DISKS, SNAPSHOTS, Integer.MAX_VALUE)));
  }

  @Test
  void whatASnapshotMayTakeIsToldWithWhenItEnds() {
    JsonNode snapshots =
        json(
            "[{'name':'n','created':'2026-11-21T04:27:28.123Z','max-preserved':1048576,"
                + "'disks':[{'export':'vda@n','size-bytes':0,'clients':0,'uris':[]}]}]");
    String text = ListCommand.text(DISKS, snapshots, Integer.MAX_VALUE);
    assertTrue(text.endsWith("  breaks beyond 1.0 MiB preserved\n"), text);
  }

  @Test
  void onANarrowTerminalTheUrisStandBelow() {
    String text = ListCommand.text(DISKS, SNAPSHOTS, 78);
    assertTrue(
        text.endsWith(
            """

            EXPORT    URI
            vda       nbd+unix:///vda
            vda@inc1  nbd+unix:///vda@inc1
            vda@n     nbd+unix:///vda@n
            """),
        text);
    assertTrue(text.lines().findFirst().orElse("").endsWith("PRESERVED  CLIENTS"), text);
  }

  @Test
  void aDiskThatNeedsSomebodySaysSo() {
    JsonNode disks =
        json(
            "[{'name':'a','access':'read-write','damage':'cut','uris':[]},"
                + "{'name':'b','access':'read-only','displacement':'deleted','uris':[]}]");
    String text = ListCommand.text(disks, json("[]"), 80);
    assertTrue(text.contains("  read-write, DAMAGED"), text);
    assertTrue(text.contains("  read-only, DISPLACED"), text);
  }

  @Test
  void namesCannotBreakTheTable() {
    JsonNode disks =
        json("[{'name':'a\\u202eb\\u001b[2J','size-bytes':0,'access':'x','clients':0,'uris':[]}]");
    String text = ListCommand.text(disks, json("[]"), 80);
    assertTrue(text.contains("a\\u202eb\\u001b[2J"), text);
    assertEquals(2, text.lines().count(), text);
  }

  // The time is local.
  private static String withoutHours(String text) {
    return text.replaceAll("\\d\\d:\\d\\d:28", "TT:TT:28");
  }
}
