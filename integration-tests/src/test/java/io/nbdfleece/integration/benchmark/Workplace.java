// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.Stream;

/// The directory of one run, which is removed when the program ends.
record Workplace(Path directory) {

  /// A new directory below the one that the user chose.
  static Workplace create(Options options) throws IOException {
    Workplace place =
        new Workplace(Files.createTempDirectory(options.directory(), "nbdfleece-benchmark"));
    Runtime.getRuntime().addShutdownHook(new Thread(place::remove));
    return place;
  }

  Path resolve(String name) {
    return directory.resolve(name);
  }

  /// An image full of random data, in the page cache.
  Path image(String name, int sizeMib) throws IOException {
    Path path = resolve(name);
    byte[] mebibyte = new byte[1 << 20];
    Random random = new Random(1);
    try (OutputStream out = Files.newOutputStream(path)) {
      for (int i = 0; i < sizeMib; i++) {
        random.nextBytes(mebibyte);
        out.write(mebibyte);
      }
    }
    // Written back now and not in the middle of a measurement; it stays in the page cache.
    try (FileChannel file = FileChannel.open(path, StandardOpenOption.WRITE)) {
      file.force(true);
    }
    return path;
  }

  /// An image without data.
  Path sparse(String name, long sizeBytes) throws IOException {
    Path path = resolve(name);
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
    return path;
  }

  private void remove() {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      System.err.println("benchmark: " + directory + " not removed: " + e);
    }
  }
}
