// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ClusterGeometryTest {
  @ParameterizedTest
  @CsvSource({
    "0, 65536, 0, 0",
    "1, 65536, 1, 1",
    "65535, 65536, 1, 65535",
    "65536, 65536, 1, 65536",
    "65537, 65536, 2, 1",
    "10000, 4096, 3, 1808",
    "1099511627776, 65536, 16777216, 65536",
    "1099511628077, 65536, 16777217, 301",
    "3145729, 1048576, 4, 1",
  })
  void lastClusterMayBeShort(long sizeBytes, int clusterBytes, int clusters, int lastBytes) {
    ClusterGeometry geometry = new ClusterGeometry(sizeBytes, clusterBytes);
    assertEquals(clusters, geometry.clusterCount());
    if (clusters > 0) {
      assertEquals(lastBytes, geometry.lengthOf(clusters - 1));
      assertEquals(clusters - 1, geometry.clusterOf(sizeBytes - 1));
      assertEquals(sizeBytes, geometry.endOf(clusters - 1));
      assertEquals(0, geometry.clusterOf(0));
    }
  }

  @Test
  void tooManyClustersAreRefusedWithAdvice() {
    IllegalArgumentException refused =
        assertThrows(
            IllegalArgumentException.class, () -> new ClusterGeometry(Long.MAX_VALUE / 2, 4096));
    assertTrue(String.valueOf(refused.getMessage()).contains("--cluster-size"));
  }
}
