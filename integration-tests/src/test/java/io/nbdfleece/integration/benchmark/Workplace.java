// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// The directory of one run, which is removed when the program ends.
record Workplace(Path directory) {
  private static final int PATTERN_MIB = 16;

  /// A new directory below the one that the user chose.
  static Workplace create(Path parent) throws IOException {
    Workplace place = new Workplace(Files.createTempDirectory(parent, "nbdfleece-benchmark"));
    Runtime.getRuntime().addShutdownHook(new Thread(place::remove));
    return place;
  }

  Path resolve(String name) {
    return directory.resolve(name);
  }

  /// An image full of random data, written back and in the page cache; the one that is there
  /// already, if it is.
  Path image(String name, int sizeMib) throws IOException, InterruptedException {
    Path path = resolve(name);
    if (Files.exists(path)) {
      return path;
    }
    // 16 MiB over and over: nothing here looks for what is alike.
    byte[] pattern = new byte[PATTERN_MIB << 20];
    new Random(1).nextBytes(pattern);
    try (OutputStream out = Files.newOutputStream(path)) {
      for (int written = 0; written < sizeMib; written += PATTERN_MIB) {
        out.write(pattern, 0, Math.min(PATTERN_MIB, sizeMib - written) << 20);
      }
    }
    settle();
    return path;
  }

  /// An image of that size without data.
  Path sparse(String name, long sizeBytes) throws IOException {
    Path path = resolve(name);
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(0);
      file.setLength(sizeBytes);
    }
    return path;
  }

  /// Writes back what is dirty, so that one subject's writes do not burden the next one's turn.
  void settle() throws IOException, InterruptedException {
    String _ = Tool.run(List.of("sync", "-f", directory.toString()));
  }

  /// Drops the file from the page cache.
  ///
  /// @return how much of it is there all the same, in percent: pages that somebody has mapped stay
  double dropFromCache(Path file) throws IOException, InterruptedException {
    settle();
    String _ = Tool.run(List.of("dd", "if=" + file, "iflag=nocache", "count=0", "status=none"));
    String cached = Tool.run(List.of("fincore", "-b", "-n", "-o", "RES", file.toString()));
    return 100.0 * Long.parseLong(cached.strip()) / Files.size(file);
  }

  private void remove() {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      System.err.println("bench: " + directory + " not removed: " + e);
    }
  }
}
