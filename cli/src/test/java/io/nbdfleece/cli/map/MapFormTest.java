// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.map;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The bytes that nbdinfo 1.14 and 1.22 print.
final class MapFormTest {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final PrintStream out = new PrintStream(bytes, true, UTF_8);

  private String printed(String context, boolean json) throws IOException {
    MapOutput map = new MapOutput(context, json, out);
    map.extent(0, 3145728, 3);
    map.extent(3145728, 4096, 0);
    map.extent(10_995_116_277_760L, 4, 12345);
    map.finish();
    return bytes.toString(UTF_8);
  }

  @Test
  void columnsAreAlignedAndMayOverflow() throws IOException {
    assertEquals(
        """
                 0     3145728    3  hole,zero
           3145728        4096    0  data
        10995116277760           4  12345
        """,
        printed("base:allocation", false));
  }

  @Test
  void jsonIsAnArrayWithAnObjectALine() throws IOException {
    assertEquals(
        """
        [
        { "offset": 0, "length": 3145728, "type": 3, "description": "hole,zero"},
        { "offset": 3145728, "length": 4096, "type": 0, "description": "data"},
        { "offset": 10995116277760, "length": 4, "type": 12345}
        ]
        """,
        printed("base:allocation", true));
  }

  @Test
  void anEmptyMapIsAnEmptyArray() throws IOException {
    new MapOutput("base:allocation", true, out).finish();
    assertEquals("[\n\n]\n", bytes.toString(UTF_8));
    assertEquals("[]\n", new MapTotals("base:allocation", 0).json());
    assertEquals("", new MapTotals("base:allocation", 0).text());
  }

  @Test
  void totalsAreRoundedAsInC() throws IOException {
    MapTotals totals = new MapTotals("base:allocation", 10485760);
    totals.extent(0, 131072, 0);
    totals.extent(131072, 10354688, 3);
    assertEquals(
        """
            131072   1.2%   0 data
          10354688  98.8%   3 hole,zero
        """,
        totals.text());
    assertEquals(
        """
        [
        { "size": 131072, "percent": 1.25, "type": 0, "description": "data" },
        { "size": 10354688, "percent": 98.75, "type": 3, "description": "hole,zero" }
        ]
        """,
        totals.json());
  }

  @ParameterizedTest
  @CsvSource({
    "100, 100",
    "0.7421875, 0.742188",
    "99.2578125, 99.2578",
    "0.0001, 0.0001",
    "0.00001, 1e-05",
    "0.000000000012345678, 1.23457e-11",
    "0, 0"
  })
  void percentagesHaveSixDigits(double percent, String printed) {
    assertEquals(printed, MapTotals.sixDigits(percent));
  }

  @ParameterizedTest
  @CsvSource({
    "base:allocation, 1, hole",
    "base:allocation, 2, zero",
    "base:allocation, 4, ''",
    "base:allocation, -1, ''",
    "qemu:dirty-bitmap:b0, 0, clean",
    "qemu:dirty-bitmap:b0, 1, dirty",
    "qemu:allocation-depth, 0, absent",
    "qemu:allocation-depth, 1, local",
    "qemu:allocation-depth, 3, backing depth 3",
    "x:y, 0, ''"
  })
  void numbersHaveTheNamesThatNbdinfoGivesThem(String context, long type, String name) {
    assertEquals(name, TypeNames.of(context, type).orElse(""));
  }
}
