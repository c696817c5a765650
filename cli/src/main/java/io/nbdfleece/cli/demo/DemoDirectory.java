// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;

/// The directory of one demo, mode 0700, and its disk. Gone after [#close], whatever is in it.
record DemoDirectory(Path path) implements AutoCloseable {

  static DemoDirectory create() throws IOException {
    return new DemoDirectory(Files.createTempDirectory("nbdfleece-demo-"));
  }

  Path file(String name) {
    return path.resolve(name);
  }

  /// Writes the disk: sparse, with the base content.
  void writeDisk(Path disk, DemoContent content) throws IOException {
    int chunkBlocks = 256;
    ByteBuffer chunk = ByteBuffer.allocateDirect(chunkBlocks * DemoContent.BLOCK_BYTES);
    try (FileChannel channel =
        FileChannel.open(disk, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      // The guest area of a stripe is a multiple of the chunk, so a chunk is content or hole.
      for (int first = 0; first < content.blockCount(); first += chunkBlocks) {
        if (!content.hasBase(first)) {
          continue;
        }
        for (int i = 0; i < chunkBlocks; i++) {
          content.fill(first + i, DemoContent.BASE, chunk.position(i * DemoContent.BLOCK_BYTES));
        }
        chunk.clear();
        long at = (long) first * DemoContent.BLOCK_BYTES;
        while (chunk.hasRemaining()) {
          at += channel.write(chunk, at);
        }
      }
      long lastByte = (long) content.blockCount() * DemoContent.BLOCK_BYTES - 1;
      int written = channel.write(ByteBuffer.wrap(new byte[] {0}), lastByte);
      assert written == 1;
    }
  }

  @Override
  public void close() throws IOException {
    if (!Files.exists(path)) {
      return;
    }
    List<Path> files;
    try (Stream<Path> list = Files.list(path)) {
      files = list.toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
    Files.deleteIfExists(path);
  }
}
