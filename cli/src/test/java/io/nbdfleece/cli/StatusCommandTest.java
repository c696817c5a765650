// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import java.time.Instant;
import org.junit.jupiter.api.Test;

final class StatusCommandTest {
  @Test
  void whatHasBecomeOfADisksFileStandsWithTheDisk() {
    String text =
        StatusCommand.text(
            Json.parse(
                ("{'store':{'started':'2026-11-21T04:27:28Z'},'disks':["
                        + "{'name':'vda','damage':'it was cut','displacement':'it was deleted'},"
                        + "{'name':'vdb'}]}")
                    .getBytes(UTF_8)),
            Instant.parse("2026-11-21T05:27:28Z"));
    assertTrue(
        text.contains(
            """
              guest writes  0
              DAMAGED: it was cut
              DISPLACED: it was deleted

            disk vdb\
            """),
        text);
  }
}
