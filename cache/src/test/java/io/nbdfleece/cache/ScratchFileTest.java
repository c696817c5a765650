// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.nbdfleece.cache.posix.Outcome;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ScratchFileTest {
  private static final int BYTES = 4096;

  /// One call takes 64.
  private static final int BUFFERS = 150;

  @TempDir Path directory;

  @Test
  void everyBufferIsWrittenThoughOneCallDoesNotTakeThemAll() throws Exception {
    try (SlotFile file = ScratchFile.create(directory, Runnable::run)) {
      List<ByteBuffer> data = new ArrayList<>();
      ByteBuffer expected = ByteBuffer.allocate(BUFFERS * BYTES);
      for (int i = 0; i < BUFFERS; i++) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(BYTES);
        while (buffer.hasRemaining()) {
          buffer.putInt(i * BYTES + buffer.position());
        }
        expected.put(buffer.flip());
        data.add(buffer.rewind());
      }
      Outcome written = new Outcome();
      file.write(BYTES, data, written);
      written.await();
      for (ByteBuffer buffer : data) {
        assertFalse(buffer.hasRemaining());
      }
      ByteBuffer actual = ByteBuffer.allocateDirect(BUFFERS * BYTES);
      Outcome read = new Outcome();
      file.read(BYTES, actual, read);
      read.await();
      assertEquals(expected.flip(), actual.flip());
    }
  }
}
