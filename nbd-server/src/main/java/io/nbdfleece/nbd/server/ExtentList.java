// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Extent;
import io.netty.buffer.ByteBuf;
import java.util.List;

/// Descriptors of NBD_CMD_BLOCK_STATUS out of an export's extents: equal neighbours become one, and
/// the list is cut to a length.
final class ExtentList {
  private ExtentList() {}

  /// How many bytes the extents cover with at most `extentsMax` descriptors, at most `bytesMax`.
  static long coveredBytes(List<Extent> extents, long bytesMax, int extentsMax) {
    long covered = 0;
    int descriptorCount = 0;
    long flags = 0;
    for (Extent extent : extents) {
      if (descriptorCount == 0 || extent.flags() != flags) {
        if (descriptorCount == extentsMax) {
          break;
        }
        descriptorCount++;
        flags = extent.flags();
      }
      covered += Math.min(extent.lengthBytes(), bytesMax - covered);
      if (covered == bytesMax) {
        break;
      }
    }
    return covered;
  }

  /// Writes descriptors for the first `coveredBytes` bytes of the extents, which
  /// [#coveredBytes(List, long, int)] has found to be there; at most 2^32-1.
  static void put(ByteBuf out, List<Extent> extents, long coveredBytes) {
    long leftBytes = coveredBytes;
    long runBytes = 0;
    long flags = 0;
    for (Extent extent : extents) {
      if (runBytes > 0 && extent.flags() != flags) {
        out.writeInt((int) runBytes).writeInt((int) flags);
        runBytes = 0;
      }
      if (leftBytes == 0) {
        break;
      }
      flags = extent.flags();
      long usedBytes = Math.min(extent.lengthBytes(), leftBytes);
      runBytes += usedBytes;
      leftBytes -= usedBytes;
    }
    if (runBytes > 0) {
      out.writeInt((int) runBytes).writeInt((int) flags);
    }
  }
}
