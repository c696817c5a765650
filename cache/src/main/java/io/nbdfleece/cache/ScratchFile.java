// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.posix.AsyncFile;
import io.nbdfleece.cache.posix.LinuxFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Executor;

/// The disk tier in a file without a name: it vanishes with the process, however that ends. Nothing
/// is synced, because what it holds is worthless after a crash.
///
/// Writes are made by the calling thread, which is the spiller's own and may wait.
final class ScratchFile implements SlotFile {
  private final LinuxFile file;
  private final AsyncFile async;

  private ScratchFile(LinuxFile file, Executor workers) throws IOException {
    this.file = file;
    this.async = new AsyncFile(file, workers);
  }

  /// @throws IOException naming the directory and the option when it cannot be used
  static ScratchFile create(Path directory, Executor workers) throws IOException {
    LinuxFile file;
    try {
      file = LinuxFile.createUnnamed(directory);
    } catch (IOException e) {
      throw new IOException(
          "cannot use scratch directory "
              + directory
              + ": "
              + StoreTexts.reason(e)
              + "; create it, or choose another with --scratch",
          e);
    }
    try {
      return new ScratchFile(file, workers);
    } catch (IOException e) {
      file.close();
      throw e;
    }
  }

  @Override
  public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
    try {
      long position = offsetBytes;
      int written = 0;
      while (written < data.size()) {
        position += file.write(data.subList(written, data.size()), position);
        while (written < data.size() && !data.get(written).hasRemaining()) {
          written++;
        }
      }
    } catch (IOException e) {
      done.failed(e);
      return;
    }
    done.succeeded();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    async.read(offsetBytes, target, done);
  }

  @Override
  public void punch(long offsetBytes, long lengthBytes, Completion done) {
    async.punchHole(offsetBytes, lengthBytes, done);
  }

  @Override
  public void close() throws IOException {
    try (file) {
      async.close();
    }
  }
}
