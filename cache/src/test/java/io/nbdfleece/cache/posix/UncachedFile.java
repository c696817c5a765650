// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/// A file whose pages can be thrown out of the page cache.
final class UncachedFile {
  private UncachedFile() {}

  /// Creates a file full of the byte 7.
  static LinuxFile create(Path path, int size) throws IOException {
    Files.createFile(path);
    LinuxFile file = LinuxFile.open(path, Access.READ_WRITE);
    ByteBuffer data = ByteBuffer.allocateDirect(size);
    while (data.hasRemaining()) {
      data.put((byte) 7);
    }
    file.write(data.flip(), 0);
    return file;
  }

  /// Drops the pages and tries, again if the device was quicker than the look: even a read that
  /// must not wait starts to read ahead.
  static void untilUncached(Path path, Attempt attempt) throws Exception {
    for (int i = 0; i < 100; i++) {
      Tool sync = Tool.run("dd", "of=" + path, "conv=notrunc,fdatasync", "count=0");
      assertEquals(0, sync.exit(), sync.output());
      Tool drop = Tool.run("dd", "if=" + path, "iflag=nocache", "count=0");
      assertEquals(0, drop.exit(), drop.output());
      if (attempt.succeeds()) {
        return;
      }
    }
    fail("the pages of " + path + " are always cached");
  }

  interface Attempt {
    boolean succeeds() throws IOException;
  }
}
