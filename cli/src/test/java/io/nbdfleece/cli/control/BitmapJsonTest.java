// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import org.junit.jupiter.api.Test;
import org.roaringbitmap.RoaringBitmap;
import tools.jackson.databind.JsonNode;

final class BitmapJsonTest {
  // 65536-byte granules of a disk whose last one is 512 bytes.
  private static final long SIZE_BYTES = (10 << 16) + 512;
  private final GranuleSet set =
      GranuleSet.of(SIZE_BYTES, 1 << 16, RoaringBitmap.bitmapOf(0, 1, 4, 9, 10));

  @Test
  void neighboursAreOneExtentAndTheLastOneIsShort() {
    assertEquals(
        "[{\"offset\":0,\"length\":131072},{\"offset\":262144,\"length\":65536},"
            + "{\"offset\":589824,\"length\":66048}]",
        extents(BitmapJson.dump(set, 0, 10)));
  }

  @Test
  void aLongAnswerSaysWhereToGoOn() {
    JsonNode page = BitmapJson.dump(set, 0, 2);
    assertEquals(589_824, page.path("next-offset").asLong());
    assertEquals(
        "[{\"offset\":589824,\"length\":66048}]",
        extents(BitmapJson.dump(set, page.path("next-offset").asLong(), 2)));
  }

  @Test
  void anOffsetInsideOfAnExtentCutsIt() {
    assertEquals(
        "[{\"offset\":589825,\"length\":66047}]", extents(BitmapJson.dump(set, 589_825, 10)));
    assertEquals("[]", extents(BitmapJson.dump(set, SIZE_BYTES + (1 << 16), 10)));
    assertEquals("[]", extents(BitmapJson.dump(GranuleSet.empty(0, 512), Long.MAX_VALUE, 10)));
  }

  private static String extents(JsonNode dump) {
    return Json.line(dump.path("extents"));
  }
}
