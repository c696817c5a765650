// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.OptionalLong;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EngineConfigTest {

  /// As README has it. The index of what is preserved of a disk of 512 GiB and less never has more
  /// than 16 million clusters; larger disks have what they had with 64 KiB.
  @ParameterizedTest
  @CsvSource({
    "0, 16384",
    "1, 16384",
    "274877906944, 16384", // 256 GiB
    "274877923328, 32768", // and a cluster
    "549755813888, 32768", // 512 GiB
    "549755846656, 65536",
    "9223372036854775807, 65536",
    ", 65536"
  })
  void clustersAreLargerForLargerDisks(Long diskBytes, int clusterBytes) {
    OptionalLong bytes = diskBytes == null ? OptionalLong.empty() : OptionalLong.of(diskBytes);
    assertEquals(clusterBytes, EngineConfig.clusterBytesFor(bytes));
  }
}
