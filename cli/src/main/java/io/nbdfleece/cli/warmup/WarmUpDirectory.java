// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.warmup;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/// A directory of its own, mode 0700. Gone after [#close], with all that is in it.
record WarmUpDirectory(Path path) implements AutoCloseable {

  static WarmUpDirectory create() throws IOException {
    return new WarmUpDirectory(Files.createTempDirectory("nbdfleece-warm-up-"));
  }

  Path file(String name) {
    return path.resolve(name);
  }

  /// Where NBD clients connect.
  Path socket() {
    return file("nbd.sock");
  }

  Path control() {
    return file("qmp.sock");
  }

  @Override
  public void close() throws IOException {
    List<Path> all;
    try (Stream<Path> walk = Files.walk(path)) {
      all = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path one : all) {
      Files.deleteIfExists(one);
    }
  }
}
