// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// What the kernel says of this process's pages: `Documentation/admin-guide/mm/pagemap.rst`.
public final class Pagemap {
  /// As on all machines that the tests run on.
  public static final int PAGE_BYTES = 4096;

  private Pagemap() {}

  /// How many pages of the memory are in RAM.
  public static int presentPages(MemorySegment memory) throws IOException {
    long first = memory.address() / PAGE_BYTES;
    int count = (int) (memory.byteSize() / PAGE_BYTES);
    ByteBuffer entries = ByteBuffer.allocate(count * Long.BYTES).order(ByteOrder.nativeOrder());
    Path path = Path.of("/proc/self/pagemap");
    try (FileChannel pagemap = FileChannel.open(path, StandardOpenOption.READ)) {
      while (entries.hasRemaining()) {
        if (pagemap.read(entries, first * Long.BYTES + entries.position()) < 0) {
          throw new IOException(path + ": ends before page " + (first + count));
        }
      }
    }
    int present = 0;
    for (int i = 0; i < count; i++) {
      if (entries.getLong(i * Long.BYTES) < 0) { // bit 63
        present++;
      }
    }
    return present;
  }
}
