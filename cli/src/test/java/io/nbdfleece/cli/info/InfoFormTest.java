// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.info;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.info.ServerFacts.ListedFacts;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NegotiatedExport;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class InfoFormTest {
  private static final NegotiatedExport EXPORT =
      new NegotiatedExport(
          "vda",
          "my \u001b[31m desc",
          10 << 20,
          Set.of(Ability.FLUSH, Ability.MULTI_CONN),
          true,
          true,
          false,
          OptionalLong.of(1),
          OptionalLong.of(4096),
          OptionalLong.of(32 << 20),
          true,
          true,
          Optional.empty(),
          List.of("base:allocation", "qemu:dirty-bitmap:b0"));
  private static final ServerFacts SERVER =
      new ServerFacts(
          false,
          true,
          true,
          List.of(
              new ListedFacts(
                  new NbdUri.Unix(Path.of("/run/n.sock"), "vda"),
                  EXPORT.description(),
                  Optional.of(EXPORT),
                  "")));

  @Test
  void ofAServerThatShowsNothingOnlyWhatIsKnownIsTold() {
    assertEquals(
        "protocol: newstyle-fixed with TLS\n",
        InfoText.of(new ServerFacts(true, false, false, List.of())));
  }

  @Test
  void theTextIsThatOfNbdinfo() {
    assertEquals(
        """
        protocol: newstyle-fixed without TLS, using extended packets
        export="vda":
        \tdescription: my \\u001b[31m desc
        \texport-size: 10485760 (10M)
        \turi: nbd+unix:///vda?socket=/run/n.sock
        \tcontexts:
        \t\tbase:allocation
        \t\tqemu:dirty-bitmap:b0
        \tis_rotational: false
        \tis_read_only: true
        \tcan_block_status_payload: false
        \tcan_cache: false
        \tcan_df: true
        \tcan_fast_zero: false
        \tcan_flush: true
        \tcan_fua: false
        \tcan_multi_conn: true
        \tcan_trim: false
        \tcan_zero: false
        \tblock_size_minimum: 1
        \tblock_size_preferred: 4096 (4K)
        \tblock_size_maximum: 33554432 (32M)
        """,
        InfoText.of(SERVER));
  }

  @Test
  void theJsonHasTheKeysOfNbdinfo() {
    JsonNode json = InfoJson.of(SERVER);
    assertEquals("newstyle-fixed", json.path("protocol").asString());
    assertFalse(json.path("TLS").asBoolean(true));
    assertTrue(json.path("extended").asBoolean(false));
    JsonNode export = json.path("exports").get(0);
    assertEquals("vda", export.path("export-name").asString());
    assertEquals(
        "[\"base:allocation\",\"qemu:dirty-bitmap:b0\"]", Json.line(export.path("contexts")));
    assertEquals(10 << 20, export.path("export-size").asInt());
    assertEquals("10M", export.path("export-size-str").asString());
    assertTrue(export.path("can_flush").asBoolean(false));
    assertEquals(4096, export.path("block_size_preferred").asInt());
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "1023, 1023",
    "1024, 1K",
    "1536, 1536",
    "1610612736, 1536M",
    "1099511627776, 1T"
  })
  void sizesAreAbbreviatedOnlyWithoutLoss(long bytes, String printed) {
    assertEquals(printed, HumanSize.exact(bytes));
  }

  @ParameterizedTest
  @ValueSource(strings = {"read-only", "READ_ONLY", "readonly", "df", "multiconn", "structured"})
  void aWordIsFoundHoweverItIsWritten(String word) {
    assertTrue(Question.ofWord(word).orElseThrow().isTrueFor(EXPORT));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"write", "tls", "rotational", "trim", "zero", "fast-zero", "fua", "cache"})
  void whatIsNotSoIsFalse(String word) {
    assertFalse(Question.ofWord(word).orElseThrow().isTrueFor(EXPORT));
  }

  @Test
  void anUnknownWordIsNone() {
    assertTrue(Question.ofWord("rw").isEmpty());
  }
}
