// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// libnbd 1.22 and QEMU 10 speak extended headers with us: lengths of 64 bits, the block status of
/// a whole sparse disk in one reply.
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class NewerPeersTest {
  private static final int SIZE_BYTES = 48 << 20;
  private static final long SPARSE_BYTES = 12L << 40;

  private byte[] frozen = new byte[0];
  private Path directory = Path.of("");
  private PackagedServer server;
  private String uri = "";

  @BeforeAll
  void startAndFreeze(@TempDir Path directory) throws IOException {
    this.directory = directory;
    Path image = directory.resolve("vda.img");
    frozen = Images.random(image, SIZE_BYTES, 815);
    Path sparse = directory.resolve("sparse.img");
    Path _ = Images.sparse(sparse, SPARSE_BYTES);
    server =
        PackagedServer.in(directory)
            .disk("vda", image)
            .disk("sparse", sparse)
            .disk("written", Images.sparse(directory.resolve("written.img"), SIZE_BYTES))
            .with("--ram", "4M")
            .start();
    uri = server.uri("vda@nightly").toString();
    try (NbdClient guest = server.connect("vda")) {
      Images.await(guest.trim(8 << 20, 4 << 20));
      Arrays.fill(frozen, 8 << 20, 12 << 20, (byte) 0);
      Command.Result _ = server.run("snapshot", "vda", "--name", "nightly").succeeds();
      Images.write(guest, 0, Images.filled(10 << 20, 0xee));
    }
  }

  @AfterAll
  void stop() {
    server.close();
  }

  @Test
  void nbdinfoNegotiatesExtendedHeaders() throws IOException {
    Command.Result info = Command.run(NewerPeers.program("nbdinfo"), uri).succeeds();
    assertTrue(info.out().contains("using extended packets"), info::toString);
  }

  @Test
  void nbdshAsksForTheStatusOfOneContextOnly() throws IOException {
    String script =
        """
        h.add_meta_context("base:allocation")
        h.connect_uri("%s")
        assert h.can_block_status_payload()
        seen = []
        h.block_status_filter(
            h.get_size(), 0, ["base:allocation"], lambda c, o, e, err: seen.append(c))
        print(seen)
        """
            .formatted(uri);
    Command.Result status = Command.run(NewerPeers.program("nbdsh"), "-c", script).succeeds();
    assertEquals("['base:allocation']\n", status.out(), status::toString);
  }

  @Test
  void nbdcopyPullsWithExtendedHeaders() throws IOException {
    Path copy = directory.resolve("nbdcopy.img");
    Command.Result _ = Command.run(NewerPeers.program("nbdcopy"), uri, copy.toString()).succeeds();
    assertArrayEquals(frozen, Files.readAllBytes(copy));
  }

  @Test
  void nbdshMapsTwelveTebibytesInOneReply() throws IOException {
    String script =
        """
        h.add_meta_context("base:allocation")
        h.connect_uri("%s")
        assert h.get_extended_headers_negotiated()
        replies = []
        h.block_status_64(h.get_size(), 0, lambda c, o, e, err: replies.append(e))
        print(len(replies), sum(e[0] for e in replies[0]), {e[1] for e in replies[0]})
        """
            .formatted(server.uri("sparse"));
    Command.Result status = Command.run(NewerPeers.program("nbdsh"), "-c", script).succeeds();
    assertEquals("1 " + SPARSE_BYTES + " {3}\n", status.out(), status::toString);
  }

  @Test
  void nbdshTrimsAndZeroesMoreThan4GibAtOnce() throws IOException {
    String script =
        """
        h.connect_uri("%s")
        h.pwrite(b"x" * 4096, 1 << 40)
        h.zero(8 << 40, 0)
        assert h.pread(4096, 1 << 40) == bytes(4096)
        h.pwrite(b"x" * 4096, 9 << 40)
        h.trim(4 << 40, 8 << 40)
        h.flush()
        """
            .formatted(server.uri("sparse"));
    Command.Result _ = Command.run(NewerPeers.program("nbdsh"), "-c", script).succeeds();
  }

  @Test
  void qemuImg10ComparesEqual() throws IOException {
    Path copy = directory.resolve("convert.qcow2");
    Command.Result _ =
        Command.run(
                NewerPeers.program("qemu-img"),
                "convert",
                "-f",
                "raw",
                "-O",
                "qcow2",
                uri,
                copy.toString())
            .succeeds();
    Command.Result _ =
        Command.run(
                NewerPeers.program("qemu-img"),
                "compare",
                "-f",
                "raw",
                "-F",
                "qcow2",
                uri,
                copy.toString())
            .succeeds();
  }

  /// Its client leaves out a flag that a WRITE with an extended header must have.
  @Test
  void qemuWrites() throws IOException {
    Path source = directory.resolve("source.img");
    byte[] content = Images.random(source, SIZE_BYTES, 816);
    String target = server.uri("written").toString();
    Command.Result _ =
        Command.run(
                NewerPeers.program("qemu-img"),
                "convert",
                "-n",
                "-f",
                "raw",
                "-O",
                "raw",
                source.toString(),
                target)
            .succeeds();
    Command.Result _ =
        Command.run(NewerPeers.program("qemu-io"), "-f", "raw", "-c", "write -f -P 7 1M 3M", target)
            .succeeds();
    Arrays.fill(content, 1 << 20, 4 << 20, (byte) 7);
    assertArrayEquals(content, Files.readAllBytes(directory.resolve("written.img")));
  }

  @Test
  void qemuImg10MapsTheHole() throws IOException {
    JsonNode map =
        Command.run(NewerPeers.program("qemu-img"), "map", "-f", "raw", "--output=json", uri)
            .succeeds()
            .json();
    long zeroBytes = 0;
    for (JsonNode extent : map) {
      zeroBytes += extent.path("zero").asBoolean() ? extent.path("length").asLong() : 0;
    }
    assertTrue(zeroBytes >= 2 << 20 && zeroBytes <= 4 << 20, map::toString);
  }
}
