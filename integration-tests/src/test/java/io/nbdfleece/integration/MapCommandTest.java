// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// `nbdfleece map` prints byte for byte what `nbdinfo --map` prints.
@Timeout(120)
final class MapCommandTest {
  @TempDir Path directory = Path.of("");

  @Test
  void allocationAsFromNbdinfo() throws IOException {
    try (PeerServer server =
        PeerServer.nbdkit(
            directory.resolve("n.sock"), "data", "@0x100000 1*70000 @0x800000 2*5 @0x900000")) {
      assertSameAsNbdinfo(server.uri(""), "base:allocation");
    }
  }

  @Test
  void bitmapsAndDepthsAsFromNbdinfo() throws IOException {
    Path base = Images.qcow2WithBitmap(directory.resolve("base.qcow2"));
    Path image = directory.resolve("top.qcow2");
    String qemuImg = Peer.QEMU_IMG.path();
    Command.Result _ =
        Command.run(
                qemuImg,
                "create",
                "-q",
                "-f",
                "qcow2",
                "-b",
                base.toString(),
                "-F",
                "qcow2",
                image.toString())
            .succeeds();
    Command.Result _ = Command.run(qemuImg, "bitmap", "--add", image.toString(), "b1").succeeds();
    Command.Result _ =
        Command.run(Peer.QEMU_IO.path(), "-f", "qcow2", "-c", "write 5M 192k", image.toString())
            .succeeds();
    try (PeerServer server =
        PeerServer.qemuNbd(
            directory.resolve("n.sock"), "-r", "-f", "qcow2", "-B", "b1", "-A", image.toString())) {
      for (String context :
          List.of("base:allocation", "qemu:dirty-bitmap:b1", "qemu:allocation-depth")) {
        assertSameAsNbdinfo(server.uri(""), context);
      }
      Command.Result _ =
          map("--context", "qemu:dirty-bitmap:b2", server.uri("")).exits(10).says("b2", "info");
    }
  }

  @Test
  void sixteenTebibytesOfNothingAreOneLine() throws IOException {
    try (PeerServer server = PeerServer.nbdkit(directory.resolve("n.sock"), "null", "16T")) {
      assertEquals(
          "         0  17592186044416    3  hole,zero\n", map(server.uri("")).succeeds().out());
    }
  }

  @Test
  void withoutStructuredRepliesThereIsNoMap() throws IOException {
    try (PeerServer server =
        PeerServer.nbdkit(directory.resolve("n.sock"), "--no-sr", "memory", "1M")) {
      Command.Result _ = map(server.uri("")).exits(10).says("base:allocation");
    }
  }

  @Test
  void anEmptyExportHasAnEmptyMap() throws IOException {
    try (PeerServer server = PeerServer.nbdkit(directory.resolve("n.sock"), "null", "0")) {
      assertSameAsNbdinfo(server.uri(""), "base:allocation");
    }
  }

  private static void assertSameAsNbdinfo(String uri, String context) throws IOException {
    for (List<String> options :
        List.of(
            List.<String>of(),
            List.of("--json"),
            List.of("--totals"),
            List.of("--totals", "--json"))) {
      String[] theirs = Command.join(options, "--map=" + context, uri).toArray(String[]::new);
      String[] ours = Command.join(options, "--context", context, uri).toArray(String[]::new);
      assertEquals(
          Command.run(Command.join(List.of(Peer.NBDINFO.path()), theirs)).succeeds().out(),
          map(ours).succeeds().out(),
          () -> context + " " + options);
    }
  }

  private static Command.Result map(String... arguments) throws IOException {
    return Command.run(
        Program.client(Command.join(List.of("map"), arguments).toArray(String[]::new)));
  }
}
