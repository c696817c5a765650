// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ByteSizeTest {

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "512, 512",
    "512B, 512",
    "64K, 65536",
    "64k, 65536",
    "64KiB, 65536",
    "64KB, 65536",
    "256M, 268435456",
    "1G, 1073741824",
    "1.5G, 1610612736",
    "2T, 2199023255552",
    " 1 M , 1048576"
  })
  void suffixesAreBinary(String text, long bytes) {
    assertEquals(bytes, ByteSize.parse(text).bytes());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "M", "-1", "1X", "1,5G", "1e3", "0x10", "1.00001K", "9999999999T"})
  void whatIsNoSizeIsRefusedAndNamed(String text) {
    var error = assertThrows(IllegalArgumentException.class, () -> ByteSize.parse(text));
    assertEquals(true, Messages.of(error).contains("'" + text + "'"), Messages.of(error));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0 B",
    "1023, 1023 B",
    "1024, 1.0 KiB",
    "25165824, 24.0 MiB",
    "1073741823, 1.0 GiB",
    "10737418240, 10.0 GiB"
  })
  void sizesAreShownInTheirUnit(long bytes, String text) {
    assertEquals(text, ByteSize.format(bytes));
  }

  @Test
  void aPartIsShownInTheUnitOfTheWhole() {
    assertEquals("0.5/10.0 GiB", ByteSize.formatPart(512L << 20, 10L << 30));
  }

  @Test
  void smallRatesKeepOneDecimal() {
    assertEquals("1.5 MiB/s", ByteSize.formatRate(1.5 * (1 << 20)));
    assertEquals("812 MiB/s", ByteSize.formatRate(812.0 * (1 << 20)));
  }
}
