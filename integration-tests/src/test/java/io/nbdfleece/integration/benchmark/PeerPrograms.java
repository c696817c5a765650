// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Where the programs of others are: in the root of newer ones (`integration-tests/debian13-peers`)
/// if there is one, else on the PATH.
final class PeerPrograms {
  private static final Map<String, String> PACKAGES =
      Map.of(
          "fio", "fio",
          "nbdcopy", "libnbd-bin",
          "nbdinfo", "libnbd-bin",
          "qemu-nbd", "qemu-utils",
          "qemu-img", "qemu-utils",
          "qemu-storage-daemon", "qemu-system-common",
          "nbdkit", "nbdkit",
          "nbdfuse", "nbdfuse");
  private static final Pattern VERSION = Pattern.compile("\\d+(\\.\\d+)+");

  private final Optional<Path> root;
  private final List<Path> directories;
  private final Map<String, String> versions = new TreeMap<>();

  /// @param root a directory that `integration-tests/debian13-peers` has filled
  /// @param path as in the environment
  PeerPrograms(Optional<Path> root, String path) {
    this.root = root;
    directories = Arrays.stream(path.split(":", -1)).map(Path::of).toList();
  }

  /// The first of these that has been filled.
  static Optional<Path> find(Path... roots) {
    return Arrays.stream(roots)
        .filter(dir -> Files.exists(dir.resolve("bin/complete")))
        .findFirst();
  }

  boolean has(String program) {
    return find(program).isPresent();
  }

  /// Its path. Fails with a word of advice when it is missing.
  String path(String program) throws IOException {
    return find(program)
        .orElseThrow(() -> new IOException(program + " not found: " + advice(program)))
        .toString();
  }

  static String advice(String program) {
    return "apt-get install " + PACKAGES.getOrDefault(program, program);
  }

  /// What `nbdkit` wants for a plugin: newer programs do not find their own by name.
  String nbdkitPlugin(String name) {
    return root.map(dir -> dir.resolve("nbdkit/plugins/nbdkit-" + name + "-plugin.so"))
        .filter(Files::exists)
        .map(Path::toString)
        .orElse(name);
  }

  /// The same for a filter.
  String nbdkitFilter(String name) {
    return root.map(dir -> dir.resolve("nbdkit/filters/nbdkit-" + name + "-filter.so"))
        .filter(Files::exists)
        .map(Path::toString)
        .orElse(name);
  }

  /// Such as 10.0.13.
  String version(String program) throws IOException, InterruptedException {
    String known = versions.get(program);
    if (known == null) {
      Matcher matcher = VERSION.matcher(Tool.run(List.of(path(program), "--version")));
      known = matcher.find() ? matcher.group() : "of unknown version";
      versions.put(program, known);
    }
    return known;
  }

  /// Those that are missing, with how to get them.
  List<String> missing() {
    List<String> missing = new ArrayList<>();
    for (String program : PACKAGES.keySet().stream().sorted().toList()) {
      if (!has(program)) {
        missing.add(program + ": " + advice(program));
      }
    }
    if (root.isEmpty()) {
      missing.add(
          "newer peers (QEMU 10, nbdkit 1.42, libnbd 1.22): as root, with debootstrap installed,"
              + " integration-tests/debian13-peers DIR; then --peers-root DIR");
    }
    return missing;
  }

  private Optional<Path> find(String program) {
    Optional<Path> newer =
        root.map(dir -> dir.resolve("bin").resolve(program)).filter(Files::isExecutable);
    return newer.or(
        () ->
            directories.stream()
                .map(directory -> directory.resolve(program))
                .filter(Files::isExecutable)
                .findFirst());
  }
}
