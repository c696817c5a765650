// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DurableMarks;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/// A log of regions that is on stable storage at once, and forgets nothing.
final class RegionLog implements DurableMarks {
  private static final int REGION_BYTES = 32 << 10;

  private final Set<Long> regions = ConcurrentHashMap.newKeySet();

  @Override
  public boolean covers(long offsetBytes, long lengthBytes) {
    for (long i = offsetBytes / REGION_BYTES; i * REGION_BYTES < offsetBytes + lengthBytes; i++) {
      if (!regions.contains(i)) {
        return false;
      }
    }
    return true;
  }

  @Override
  public void whenCovered(long offsetBytes, long lengthBytes, Runnable then) {
    for (long i = offsetBytes / REGION_BYTES; i * REGION_BYTES < offsetBytes + lengthBytes; i++) {
      regions.add(i);
    }
    then.run();
  }

  /// All of each region.
  GranuleSet marked(long sizeBytes) {
    GranuleSet.Builder set = GranuleSet.builder(sizeBytes, 512);
    regions.stream()
        .sorted()
        .forEach(
            i -> {
              long start = i * REGION_BYTES;
              set.addRange(start, Math.min(REGION_BYTES, sizeBytes - start));
            });
    return set.build();
  }
}
