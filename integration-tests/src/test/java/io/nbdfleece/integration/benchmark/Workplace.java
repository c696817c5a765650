// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// The directory of one run, and the processes and mounts that belong to it. All of it is taken
/// away when the program ends, however it ends: the last first, the directory at last.
final class Workplace {
  private static final int PATTERN_MIB = 16;
  private static final int PIECE_BYTES = 64 << 10;
  private static final int REMOVE_TRIES = 5;

  /// Takes something away again. Idempotent.
  interface Undo {
    void run() throws IOException, InterruptedException;
  }

  private final Path directory;
  // Guarded by this.
  private final Deque<Undo> undos = new ArrayDeque<>();
  private boolean ending;

  private Workplace(Path directory) {
    this.directory = directory;
  }

  /// A new directory below the one that the user chose.
  static Workplace create(Path parent) throws IOException {
    if (!Files.isDirectory(parent)) {
      throw new IOException(parent + ": no such directory: name another one with --directory");
    }
    Workplace place = new Workplace(Files.createTempDirectory(parent, "nbdfleece-benchmark"));
    Runtime.getRuntime().addShutdownHook(new Thread(place::end));
    return place;
  }

  Path directory() {
    return directory;
  }

  Path resolve(String name) {
    return directory.resolve(name);
  }

  /// Starts a process that does not outlive the program. Fails when the program is ending.
  synchronized Process start(ProcessBuilder builder) throws IOException {
    if (ending) {
      throw new IOException("interrupted");
    }
    Process process = builder.start();
    undos.push(() -> kill(process));
    return process;
  }

  /// What is to be done at the end, before all that was there already is taken away. Fails when the
  /// program is ending.
  synchronized void atEnd(Undo undo) throws IOException {
    if (ending) {
      throw new IOException("interrupted");
    }
    undos.push(undo);
  }

  /// Whether the user has interrupted it, so that what fails now fails because of that.
  synchronized boolean isEnding() {
    return ending;
  }

  private synchronized Deque<Undo> takeUndos() {
    ending = true;
    Deque<Undo> all = new ArrayDeque<>(undos);
    undos.clear();
    return all;
  }

  private void end() {
    for (Undo undo : takeUndos()) {
      try {
        undo.run();
      } catch (IOException e) {
        System.err.println("bench: " + e.getMessage());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    remove();
  }

  private static void kill(Process process) throws InterruptedException {
    int _ = process.destroyForcibly().waitFor();
  }

  /// An image full of random data, written back and in the page cache; the one that is there
  /// already, if it is.
  Path image(String name, int sizeMib) throws IOException, InterruptedException {
    Path path = resolve(name);
    if (Files.exists(path)) {
      return path;
    }
    // 16 MiB over and over: nothing here looks for what is alike. In pieces as programs write:
    // after larger ones ext4 takes longer for small writes, whoever makes them.
    byte[] pattern = new byte[PATTERN_MIB << 20];
    new Random(1).nextBytes(pattern);
    try (OutputStream out = Files.newOutputStream(path)) {
      for (long written = 0; written < (long) sizeMib << 20; written += PIECE_BYTES) {
        out.write(pattern, (int) (written % pattern.length), PIECE_BYTES);
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

  /// Reads the file, so that it is in the page cache: systems take from there what nobody has used
  /// for a while, even while memory is not short (Linux's DAMON does), so that what was there when
  /// a server had its last turn may not be there in its next one.
  void bringIntoCache(Path file) throws IOException, InterruptedException {
    // Not read ahead: after that the cache has larger units, in which ext4 takes longer for small
    // writes, whoever makes them.
    String _ =
        Tool.run(
            List.of(
                "fio",
                "--name=cache",
                "--filename=" + file.toString().replace(":", "\\:"), // else two files
                "--readonly",
                "--rw=read",
                "--bs=" + PIECE_BYTES,
                "--ioengine=psync",
                "--fadvise_hint=random",
                "--invalidate=0"));
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
    IOException failure = new IOException("never tried");
    for (int i = 0; i < REMOVE_TRIES && Files.exists(directory); i++) {
      try (Stream<Path> files = Files.walk(directory)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.deleteIfExists(file);
        }
      } catch (IOException e) {
        // When it is interrupted, the main thread may still be making a file.
        failure = e;
      } catch (UncheckedIOException e) {
        failure = e.getCause();
      }
    }
    if (Files.exists(directory)) {
      System.err.println("bench: " + directory + " not removed: " + failure);
    }
  }
}
