// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StoreTextsTest {

  @ParameterizedTest
  @CsvSource({"0, 0 bytes", "1023, 1023 bytes", "1536, 1.5 KiB", "21474836480, 20 GiB"})
  void bytesAreToldInUnits(long bytes, String text) {
    assertEquals(text, StoreTexts.bytes(bytes));
  }
}
