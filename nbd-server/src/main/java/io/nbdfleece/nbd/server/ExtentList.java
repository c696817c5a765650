// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.netty.buffer.ByteBuf;
import java.util.List;

/// Descriptors of NBD_CMD_BLOCK_STATUS out of what an export says of one context: equal neighbours
/// become one, and the list is cut to a length.
///
/// Of `base:allocation` nothing travels but NBD_STATE_HOLE and NBD_STATE_ZERO, and a hole only
/// where it reads as zeroes: clients take a hole for zeroes, whatever else it may be.
final class ExtentList {
  private final List<Extent> extents;
  private final boolean extended;
  private final boolean allocation;

  ExtentList(ContextExtents answer, HeaderStyle style) {
    extents = answer.extents();
    extended = style == HeaderStyle.EXTENDED;
    allocation = answer.context().equals(ExportInfo.BASE_ALLOCATION);
  }

  /// Bytes of a chunk's data before its descriptors.
  static int headBytes(HeaderStyle style) {
    return style == HeaderStyle.EXTENDED ? 8 : 4;
  }

  static int descriptorBytes(HeaderStyle style) {
    return style == HeaderStyle.EXTENDED ? 16 : 8;
  }

  /// How many bytes the extents cover with at most `extentsMax` descriptors, at most `bytesMax`.
  long coveredBytes(long bytesMax, int extentsMax) {
    long covered = 0;
    int descriptorCount = 0;
    long status = 0;
    for (Extent extent : extents) {
      if (descriptorCount == 0 || status(extent) != status) {
        if (descriptorCount == extentsMax) {
          break;
        }
        descriptorCount++;
        status = status(extent);
      }
      covered += Math.min(extent.lengthBytes(), bytesMax - covered);
      if (covered == bytesMax) {
        break;
      }
    }
    return covered;
  }

  /// Writes the data of a chunk: the context's id and descriptors for the first `coveredBytes`
  /// bytes, which [#coveredBytes] has found to be there; without extended headers at most 2^32-1.
  void put(ByteBuf out, int contextId, long coveredBytes) {
    out.writeInt(contextId);
    int countIndex = out.writerIndex();
    if (extended) {
      out.writeInt(0);
    }
    int descriptorCount = 0;
    long leftBytes = coveredBytes;
    long runBytes = 0;
    long status = 0;
    for (Extent extent : extents) {
      if (runBytes > 0 && status(extent) != status) {
        put(out, runBytes, status);
        descriptorCount++;
        runBytes = 0;
      }
      if (leftBytes == 0) {
        break;
      }
      status = status(extent);
      long usedBytes = Math.min(extent.lengthBytes(), leftBytes);
      runBytes += usedBytes;
      leftBytes -= usedBytes;
    }
    if (runBytes > 0) {
      put(out, runBytes, status);
      descriptorCount++;
    }
    if (extended) {
      out.setInt(countIndex, descriptorCount);
    }
  }

  private void put(ByteBuf out, long lengthBytes, long status) {
    if (extended) {
      out.writeLong(lengthBytes).writeLong(status);
    } else {
      out.writeInt((int) lengthBytes).writeInt((int) status);
    }
  }

  private long status(Extent extent) {
    if (!allocation) {
      // Equal in what travels, equal here: then neighbours are merged.
      return extended ? extent.flags() : extent.flags() & 0xffff_ffffL;
    }
    return (extent.flags() & Extent.ZERO) == 0 ? 0 : extent.flags() & (Extent.HOLE | Extent.ZERO);
  }
}
