// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/// The NBD programs of Debian 13, which have extended headers; `integration-tests/debian13-peers`
/// puts them where the environment variable `NBDFLEECE_DEBIAN13` says. They are never required: a
/// machine that cannot fetch them has the other peers, and our own client.
final class NewerPeers {
  private NewerPeers() {}

  /// Path of a program, e.g. `nbdinfo`. Skips the test when it is not there.
  static String program(String name) {
    return root().resolve("bin").resolve(name).toString();
  }

  /// Path of an nbdkit plugin, for the nbdkit of [#program].
  static String plugin(String name) {
    return root().resolve("nbdkit/plugins/nbdkit-" + name + "-plugin.so").toString();
  }

  private static Path root() {
    Path root = Path.of(System.getenv().getOrDefault("NBDFLEECE_DEBIAN13", "/nonexistent"));
    if (!Files.exists(root.resolve("bin/complete"))) {
      String message = "programs of Debian 13 not found: integration-tests/debian13-peers DIR";
      Peer.remember(message + ", then NBDFLEECE_DEBIAN13=DIR");
      Assumptions.abort(message);
    }
    return root;
  }
}
