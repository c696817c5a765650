// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/// What a `qemu:dirty-bitmap:` context says of a whole export: dirty ranges, neighbours joined.
record DirtyMap(List<Range> ranges) {
  private static final long STATUS_BYTES_MAX = 1L << 30;
  private static final long DIRTY = 1;

  DirtyMap {
    ranges = List.copyOf(ranges);
  }

  /// A dirty range.
  record Range(long offsetBytes, long lengthBytes) {
    @Override
    public String toString() {
      return offsetBytes + "+" + lengthBytes;
    }
  }

  /// Asks the server for all of the export.
  ///
  /// @param context must have been negotiated
  static DirtyMap read(NbdClient client, String context) throws IOException {
    assertTrue(
        client.info().metaContexts().contains(context),
        () -> context + " not offered, but " + client.info().metaContexts());
    List<Range> ranges = new ArrayList<>();
    long sizeBytes = client.info().sizeBytes();
    long offsetBytes = 0;
    while (offsetBytes < sizeBytes) {
      long askedBytes = Math.min(STATUS_BYTES_MAX, sizeBytes - offsetBytes);
      CompletableFuture<List<ContextExtents>> status = client.blockStatus(offsetBytes, askedBytes);
      Images.await(status);
      for (ContextExtents extents : status.join()) {
        if (extents.context().equals(context)) {
          offsetBytes = add(ranges, offsetBytes, extents.extents(), sizeBytes);
        }
      }
    }
    return new DirtyMap(ranges);
  }

  private static long add(
      List<Range> ranges, long startBytes, List<Extent> extents, long sizeBytes) {
    long offsetBytes = startBytes;
    for (Extent extent : extents) {
      long lengthBytes = Math.min(extent.lengthBytes(), sizeBytes - offsetBytes);
      if (extent.flags() == DIRTY && lengthBytes > 0) {
        Range last = ranges.isEmpty() ? new Range(-1, 0) : ranges.getLast();
        if (last.offsetBytes() + last.lengthBytes() == offsetBytes) {
          ranges.set(
              ranges.size() - 1, new Range(last.offsetBytes(), last.lengthBytes() + lengthBytes));
        } else {
          ranges.add(new Range(offsetBytes, lengthBytes));
        }
      }
      offsetBytes += lengthBytes;
    }
    return offsetBytes;
  }

  /// The granules that are dirty, wholly or in part.
  BitSet granules(int granularityBytes) {
    BitSet granules = new BitSet();
    for (Range range : ranges) {
      long end = range.offsetBytes() + range.lengthBytes();
      granules.set(
          Math.toIntExact(range.offsetBytes() / granularityBytes),
          Math.toIntExact((end + granularityBytes - 1) / granularityBytes));
    }
    return granules;
  }

  /// `65536+131072 …`, empty for none.
  @Override
  public String toString() {
    return String.join(" ", ranges.stream().map(Range::toString).toList());
  }
}
