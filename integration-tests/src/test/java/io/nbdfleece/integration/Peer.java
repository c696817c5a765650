// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListSet;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/// Somebody else's program that the tests work with.
enum Peer {
  NBDCOPY("nbdcopy", "libnbd-bin"),
  NBDINFO("nbdinfo", "libnbd-bin"),
  NBDFUSE("nbdfuse", "libnbd-bin"),
  NBDKIT("nbdkit", "nbdkit"),
  QEMU_IMG("qemu-img", "qemu-utils"),
  QEMU_IO("qemu-io", "qemu-utils"),
  QEMU_NBD("qemu-nbd", "qemu-utils"),
  QEMU_STORAGE_DAEMON("qemu-storage-daemon", "qemu-system-common"),
  PRLIMIT("prlimit", "util-linux"),
  UNSHARE("unshare", "util-linux"),
  CC("cc", "gcc libc6-dev"),
  SOCAT("socat", "socat"),
  OPENSSL("openssl", "openssl"),
  SYSTEMD_SOCKET_ACTIVATE("systemd-socket-activate", "systemd");

  private static final Collection<String> MISSING = new ConcurrentSkipListSet<>();

  private final String program;
  private final String debianPackage;

  Peer(String program, String debianPackage) {
    this.program = program;
    this.debianPackage = debianPackage;
  }

  /// Its path. When it is not installed, skips the test, or fails it if peers are required.
  String path() {
    return find(program)
        .orElseGet(
            () -> {
              absent(program + " not found: apt-get install " + debianPackage);
              return program;
            });
  }

  /// Skips the test for want of something, or fails it if peers are required. Remembered for the
  /// report at the end.
  static void absent(String message) {
    MISSING.add(message);
    if ("1".equals(System.getenv("NBDFLEECE_REQUIRE_PEERS"))) {
      Assertions.fail(message + " (NBDFLEECE_REQUIRE_PEERS=1)");
    }
    Assumptions.abort(message);
  }

  /// For the report at the end.
  static void remember(String message) {
    MISSING.add(message);
  }

  /// Tests that mount things need root.
  static void requireRoot() {
    if (!isRoot()) {
      absent("not root: tests with file systems of their own need it");
    }
  }

  static boolean isRoot() {
    return "root".equals(System.getProperty("user.name"));
  }

  /// What was wanted and not there, so far.
  static Collection<String> missing() {
    return MISSING;
  }

  static Optional<String> find(String program) {
    return Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":"))
        .map(directory -> Path.of(directory, program))
        .filter(Files::isExecutable)
        .map(Path::toString)
        .findFirst();
  }
}
