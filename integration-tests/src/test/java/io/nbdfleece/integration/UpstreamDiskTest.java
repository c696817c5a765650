// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// `serve --disk NAME=URI`: disks that other NBD servers hold.
@Timeout(120)
final class UpstreamDiskTest {
  private static final int CLUSTER_BYTES = 64 << 10;

  @TempDir private Path directory = Path.of("");

  @Test
  void aQcow2ImageBehindQemuNbdIsFleeced() throws Exception {
    Path image = directory.resolve("vda.qcow2");
    Command.Result _ =
        Command.run(Peer.QEMU_IMG.path(), "create", "-q", "-f", "qcow2", image.toString(), "8M")
            .succeeds();
    Path socket = directory.resolve("upstream.sock");
    Process upstream =
        new ProcessBuilder(
                Peer.QEMU_NBD.path(),
                "--persistent",
                "--shared=4",
                "--format=qcow2",
                "--socket=" + socket,
                image.toString())
            .start();
    try {
      Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> Files.exists(socket));
      try (PackagedServer server =
              PackagedServer.in(directory)
                  .with("--disk", "vda=nbd+unix:///?socket=" + socket)
                  .start();
          NbdClient guest = server.connect("vda")) {
        write(guest, 1);
        JsonNode _ = server.snapshot("nightly");
        write(guest, 2);
        try (NbdClient backup = server.connect("vda@nightly")) {
          assertEquals(1, firstByte(backup));
        }
        assertEquals(2, firstByte(guest));
        server.release("nightly");
      }
    } finally {
      upstream.destroy();
      int _ = Command.await(upstream, List.of("qemu-nbd"));
    }
  }

  @Test
  void anUpstreamDiskIsNamedAfterItsExport() throws IOException {
    Command.Result result =
        nbdkit(
            List.of("--exportname=vm1", "memory", "1M"),
            Program.serve(
                "--run", "echo \"$exportname\"", "--scratch", directory.toString(), "$uri"));
    assertEquals("vm1\n", result.succeeds().out());
  }

  @Test
  void anUpstreamThatIsReadOnlyHasToBeServedReadOnly() throws IOException {
    List<String> serve = Program.serve("--run", "true", "--disk", "vda=$uri");
    Command.Result _ =
        nbdkit(List.of("-r", "memory", "1M"), serve)
            .exits(1)
            .says("disk vda", "read-only", "--read-only");
    serve.add("--read-only");
    Command.Result _ = nbdkit(List.of("-r", "memory", "1M"), serve).succeeds();
  }

  @Test
  void anUpstreamThatIsNotThereIsUnreachable() throws IOException {
    Path socket = directory.resolve("nobody.sock");
    Command.Result _ =
        Command.run(Program.serve("-U", "-", "--disk", "vda=nbd+unix:///x?socket=" + socket))
            .exits(69)
            .says("disk vda", socket.toString());
  }

  /// Runs `serve` as the command of nbdkit, which sets `$uri`.
  private static Command.Result nbdkit(List<String> options, List<String> serve)
      throws IOException {
    List<String> command = new ArrayList<>(List.of(Peer.NBDKIT.path(), "-U", "-"));
    command.addAll(options);
    StringBuilder run = new StringBuilder();
    for (String word : serve) {
      // $uri is for the shell of nbdkit; what --run gets is for the shell of serve.
      String quote = word.endsWith("$uri") ? "\"" : "'";
      run.append(quote).append(word).append(quote).append(' ');
    }
    command.addAll(List.of("--run", run.toString()));
    return Command.run(command);
  }

  private static void write(NbdClient client, int value) throws Exception {
    ByteBuffer content = ByteBuffer.allocateDirect(CLUSTER_BYTES);
    while (content.hasRemaining()) {
      content.put((byte) value);
    }
    client.write(0, content.flip(), Export.Durability.CACHED).get();
  }

  private static int firstByte(NbdClient client) throws Exception {
    ByteBuffer content = ByteBuffer.allocateDirect(CLUSTER_BYTES);
    client.read(0, content).get();
    return content.get(0);
  }
}
