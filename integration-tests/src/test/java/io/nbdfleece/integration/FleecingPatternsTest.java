// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The patterns and guarantees of QEMU's own test of image fleecing, on 64 MiB, with QEMU's own
/// qemu-io and with nbdcopy. Facts, not code, are QEMU's.
@Timeout(120)
final class FleecingPatternsTest {
  private static final List<Pattern> PATTERNS =
      List.of(
          new Pattern(0x5d, 0),
          new Pattern(0xd5, 1 << 20),
          new Pattern(0xdc, 32 << 20),
          new Pattern(0xcd, 0x3ff0000));

  /// A whole pattern, the left of one, the right of one, and what is beside one.
  private static final List<Pattern> OVERWRITES =
      List.of(
          new Pattern(0xab, 0),
          new Pattern(0xad, 0x00f8000),
          new Pattern(0x1d, 0x2008000),
          new Pattern(0xea, 0x3fe0000));

  /// What of the patterns is left on the disk afterwards.
  private static final List<String> REMAINDERS =
      List.of("read -P 0xd5 0x108000 32k", "read -P 0xdc 32M 32k", "read -P 0xcd 0x3ff0000 64k");

  /// What had never been written, beside the overwrites.
  private static final List<String> ZEROES =
      List.of(
          "read -P 0 0x00f8000 32k",
          "read -P 0 0x2010000 32k",
          "read -P 0 0x3fe0000 64k",
          "read -P 0 64k 960k");

  @TempDir private Path directory;

  @Test
  void snapshotShowsTheOldPatternsAndTheDiskTheNewOnes() throws Exception {
    Path image = Images.sparse(directory.resolve("disk.img"), 64 << 20);
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start()) {
      qemuIo(server, "vda", PATTERNS.stream().map(p -> p.command("write")).toList());
      Command.Result _ = server.run("snapshot", "vda", "--name", "fleece").succeeds();
      qemuIo(server, "vda", OVERWRITES.stream().map(p -> p.command("write")).toList());

      List<String> old = new ArrayList<>(PATTERNS.stream().map(p -> p.command("read")).toList());
      old.addAll(ZEROES);
      qemuIo(server, "vda@fleece", old);
      List<String> now = new ArrayList<>(OVERWRITES.stream().map(p -> p.command("read")).toList());
      now.addAll(REMAINDERS);
      qemuIo(server, "vda", now);

      Path pulled = directory.resolve("pulled.img");
      Command.Result _ =
          Command.run(Peer.NBDCOPY.path(), server.uri("vda@fleece").toString(), pulled.toString())
              .succeeds();
      assertEquals(64 << 20, Files.size(pulled));
      qemuIo(pulled.toString(), old);
      Command.Result _ = server.run("release", "fleece").succeeds();
      qemuIo(server, "vda", now);
    }
  }

  @Test
  void patternThatWasOnlyTrimmedIsStillInTheSnapshot() throws Exception {
    Path image = Images.sparse(directory.resolve("disk.img"), 64 << 20);
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start()) {
      qemuIo(server, "vda", PATTERNS.stream().map(p -> p.command("write")).toList());
      Command.Result _ = server.run("snapshot", "vda", "--name", "fleece").succeeds();
      qemuIo(server, "vda", List.of("discard 0 2M", "write -z 32M 64k", "write -z -u 63M 1M"));
      qemuIo(server, "vda@fleece", PATTERNS.stream().map(p -> p.command("read")).toList());
      qemuIo(server, "vda", List.of("read -P 0 0 2M", "read -P 0 32M 64k", "read -P 0 63M 1M"));
    }
  }

  @Test
  void sparseTebibyteIsMappedAndPulledByWhatItHolds() throws Exception {
    long tebibyte = 1L << 40;
    Path image = Images.sparse(directory.resolve("disk.img"), tebibyte);
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start()) {
      List<String> writes = new ArrayList<>();
      List<String> reads = new ArrayList<>();
      for (int i = 0; i < 10; i++) {
        writes.add("write -P " + (i + 1) + " " + (i * 100L) + "G 1M");
        reads.add("read -P " + (i + 1) + " " + (i * 100L) + "G 1M");
      }
      qemuIo(server, "vda", writes);
      Command.Result _ = server.run("snapshot", "--name", "big").succeeds();
      qemuIo(server, "vda", List.of("write -P 99 0 64k", "discard 100G 1M", "write -P 99 1G 64k"));

      String uri = server.uri("vda@big").toString();
      Command.Result map = Command.run(Peer.NBDINFO.path(), "--map", "--totals", uri).succeeds();
      assertTrue(map.out().contains(" 10485760 "), map::toString);
      Path pulled = directory.resolve("pulled.img");
      Command.Result _ = server.run("pull", uri, pulled.toString()).succeeds();
      assertEquals(tebibyte, Files.size(pulled));
      assertTrue(Images.allocatedBytes(pulled) < 64 << 20);
      qemuIo(pulled.toString(), reads);
      Files.delete(pulled);
      Command.Result _ = Command.run(Peer.NBDCOPY.path(), uri, pulled.toString()).succeeds();
      qemuIo(pulled.toString(), reads);
      assertTrue(Images.allocatedBytes(pulled) < 64 << 20);
    }
  }

  private static void qemuIo(PackagedServer server, String export, List<String> commands)
      throws IOException {
    qemuIo(server.uri(export).toString(), commands);
  }

  private static void qemuIo(String image, List<String> commands) throws IOException {
    List<String> all = new ArrayList<>(List.of(Peer.QEMU_IO.path(), "-f", "raw"));
    if (commands.stream().allMatch(command -> command.startsWith("read"))) {
      all.add("-r");
    }
    if (commands.stream().anyMatch(command -> command.contains("discard"))) {
      all.addAll(List.of("-d", "unmap"));
    }
    commands.forEach(command -> all.addAll(List.of("-c", command)));
    all.add(image);
    Command.Result result = Command.run(all).succeeds();
    // Versions before 8 exit with 0 even when a pattern did not match.
    assertFalse(result.out().contains("verification failed"), result::toString);
    assertFalse((result.out() + result.err()).contains("failed"), result::toString);
  }

  /// 64 KiB of one byte.
  private record Pattern(int value, long offsetBytes) {
    String command(String verb) {
      return verb + " -P " + value + " " + offsetBytes + " 64k";
    }
  }
}
