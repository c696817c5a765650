// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Xen Orchestra's NBD client reads a disk and its snapshot over TCP. It knows NBD_OPT_EXPORT_NAME
/// only, expects the 124 zeroes behind it, and has sixteen reads in flight.
@Timeout(180)
final class XenOrchestraTest {
  // Not a multiple of the client's 64 KiB, so that its last read is short.
  private static final int SIZE_BYTES = (12 << 20) + 512;

  @TempDir Path directory;

  @Test
  void readsADiskAndItsSnapshot() throws Exception {
    Path client = install();
    Path image = directory.resolve("vda.img");
    byte[] frozen = Images.random(image, SIZE_BYTES, 99);
    try (PackagedServer server =
        PackagedServer.in(directory)
            .disk("vda", image)
            .with("--ram", "4M", "--port", "0")
            .start()) {
      int port = port(server.readyLine());
      assertEquals(sha256(frozen), read(client, port, "vda"));
      Command.Result _ = server.run("snapshot", "--name", "nightly").succeeds();
      try (NbdClient guest = server.connect("vda")) {
        Images.write(guest, 12345, Images.filled(3 << 20, 0xee));
      }
      assertEquals(sha256(frozen), read(client, port, "vda@nightly"));
    }
  }

  /// The client as the lock file has it; nothing is run that came with it but the client itself.
  private Path install() throws IOException {
    Optional<String> npm = Peer.find("npm");
    if (Peer.find("node").isEmpty() || npm.isEmpty()) {
      Peer.absent("node or npm not found: apt-get install nodejs npm");
    }
    Path sources = Program.root().resolve("integration-tests/src/test/js");
    Path target = Program.root().resolve("integration-tests/target/js");
    Files.createDirectories(target);
    try (Stream<Path> files = Files.list(sources)) {
      for (Path file : files.toList()) {
        Path copy = target.resolve(sources.relativize(file));
        Files.write(copy, Files.readAllBytes(file));
      }
    }
    Command.Result installed =
        Command.run(
            npm.orElseThrow(),
            "ci",
            "--prefix",
            target.toString(),
            "--ignore-scripts",
            "--no-audit",
            "--no-fund");
    if (installed.exitCode() != 0) {
      Peer.absent("npm ci failed, is the registry out of reach? " + installed.err());
    }
    return target.resolve("read.mjs");
  }

  private static int port(JsonNode ready) {
    for (JsonNode uri : ready.path("disks").get(0).path("uris")) {
      String text = uri.asString();
      if (text.startsWith("nbd://")) {
        return java.net.URI.create(text).getPort();
      }
    }
    throw new AssertionError("no TCP address: " + ready);
  }

  private static String read(Path client, int port, String export) throws IOException {
    JsonNode read =
        Command.run("node", client.toString(), "127.0.0.1", String.valueOf(port), export)
            .succeeds()
            .json();
    assertEquals(SIZE_BYTES, read.path("size").asInt());
    return read.path("sha256").asString();
  }

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }
}
