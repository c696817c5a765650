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

/// Any stock client pulls a snapshot. One server, one snapshot whose disk has been overwritten in
/// part and trimmed in part since.
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class StockClientsTest {
  private static final int SIZE_BYTES = 48 << 20;

  private byte[] frozen = new byte[0];
  private Path directory = Path.of("");
  private PackagedServer server;
  private String uri = "";

  @BeforeAll
  void startAndFreeze(@TempDir Path directory) throws IOException {
    this.directory = directory;
    Path image = directory.resolve("vda.img");
    frozen = Images.random(image, SIZE_BYTES, 4711);
    server = PackagedServer.in(directory).disk("vda", image).with("--ram", "4M").start();
    uri = server.uri("vda@nightly").toString();
    try (NbdClient guest = server.connect("vda")) {
      // A hole of 4 MiB in what is frozen.
      Images.await(guest.trim(8 << 20, 4 << 20));
      Arrays.fill(frozen, 8 << 20, 12 << 20, (byte) 0);
      Command.Result _ = server.run("snapshot", "--name", "nightly").succeeds();
      Images.write(guest, 0, Images.filled(10 << 20, 0xee));
      Images.write(guest, (30 << 20) + 1234, Images.filled(5678, 0xee));
      Images.await(guest.trim(40 << 20, 4 << 20));
    }
  }

  @AfterAll
  void stop() {
    server.close();
  }

  @Test
  void nbdcopyPullsWithItsFourConnections() throws IOException {
    Path copy = directory.resolve("nbdcopy.img");
    Command.Result _ = Command.run(Peer.NBDCOPY.path(), uri, copy.toString()).succeeds();
    assertArrayEquals(frozen, Files.readAllBytes(copy));
  }

  @Test
  void nbdcopyPullsWithSixteenConnectionsAndSmallRequests() throws IOException {
    Path copy = directory.resolve("nbdcopy16.img");
    Command.Result _ =
        Command.run(
                Peer.NBDCOPY.path(),
                "--connections=16",
                "--requests=64",
                "--request-size=16384",
                uri,
                copy.toString())
            .succeeds();
    assertArrayEquals(frozen, Files.readAllBytes(copy));
  }

  @Test
  void qemuImgConvertsAndComparesEqual() throws IOException {
    String qemuImg = Peer.QEMU_IMG.path();
    Path copy = directory.resolve("convert.qcow2");
    Command.Result _ =
        Command.run(
                qemuImg,
                "convert",
                "-f",
                "raw",
                "-O",
                "qcow2",
                "-W",
                "-m",
                "8",
                uri,
                copy.toString())
            .succeeds();
    Command.Result _ =
        Command.run(qemuImg, "compare", "-f", "raw", "-F", "qcow2", uri, copy.toString())
            .succeeds();
    Path raw = directory.resolve("convert.raw");
    Command.Result _ =
        Command.run(qemuImg, "convert", "-f", "qcow2", "-O", "raw", copy.toString(), raw.toString())
            .succeeds();
    assertArrayEquals(frozen, Files.readAllBytes(raw));
  }

  @Test
  void qemuImgCompareSeesThatTheDiskDiffers() throws IOException {
    Command.Result _ =
        Command.run(
                Peer.QEMU_IMG.path(),
                "compare",
                "-f",
                "raw",
                "-F",
                "raw",
                server.uri("vda").toString(),
                uri)
            .exits(1);
  }

  @Test
  void nbdinfoMapShowsTheHoleOfTheFrozenDiskOnly() throws IOException {
    JsonNode map = Command.run(Peer.NBDINFO.path(), "--json", "--map", uri).succeeds().json();
    long coveredBytes = 0;
    long holeBytes = 0;
    for (JsonNode extent : map) {
      assertEquals(coveredBytes, extent.path("offset").asLong(), map::toString);
      coveredBytes += extent.path("length").asLong();
      if (extent.path("type").asInt() != 0) {
        assertEquals(3, extent.path("type").asInt(), map::toString);
        assertTrue(
            extent.path("offset").asLong() >= 8 << 20 && coveredBytes <= 12 << 20, map::toString);
        holeBytes += extent.path("length").asLong();
      }
    }
    assertEquals(SIZE_BYTES, coveredBytes, map::toString);
    // What was overwritten since is held as data, so only the rest must still show as a hole.
    assertTrue(holeBytes >= 2 << 20, map::toString);
  }

  @Test
  void nbdinfoListsDiskAndSnapshot() throws IOException {
    JsonNode list =
        Command.run(Peer.NBDINFO.path(), "--json", "--list", server.uri("").toString())
            .succeeds()
            .json();
    assertEquals(2, list.path("exports").size(), list::toString);
    assertEquals("vda", list.path("exports").get(0).path("export-name").asString());
    assertEquals("vda@nightly", list.path("exports").get(1).path("export-name").asString());
  }

  @Test
  void nbdinfoSeesWhatEachExportCanDo() throws IOException {
    String nbdinfo = Peer.NBDINFO.path();
    JsonNode disk = Command.run(nbdinfo, "--json", server.uri("vda").toString()).succeeds().json();
    JsonNode guest = disk.path("exports").get(0);
    assertEquals(SIZE_BYTES, guest.path("export-size").asLong(), disk::toString);
    for (String can : new String[] {"flush", "fua", "trim", "zero", "multi_conn"}) {
      assertTrue(guest.path("can_" + can).asBoolean(), () -> can + disk);
    }
    JsonNode frozenExport =
        Command.run(nbdinfo, "--json", uri).succeeds().json().path("exports").get(0);
    assertTrue(frozenExport.path("is_read_only").asBoolean(), frozenExport::toString);
    assertTrue(frozenExport.path("can_multi_conn").asBoolean(), frozenExport::toString);
  }

  @Test
  void ownPullMakesTheSameImage() throws IOException {
    Path copy = directory.resolve("pull.img");
    Command.Result _ = server.run("pull", uri, copy.toString()).succeeds();
    assertArrayEquals(frozen, Files.readAllBytes(copy));
    assertTrue(Images.allocatedBytes(copy) <= SIZE_BYTES - (2 << 20), "the hole is a hole");
  }

  @Test
  void qemuIoReadsPiecesThatCrossPreservedAndUnchanged() throws IOException {
    Path piece = directory.resolve("piece.img");
    Command.Result _ =
        Command.run(
                Peer.QEMU_IMG.path(),
                "dd",
                "-f",
                "raw",
                "-O",
                "raw",
                "bs=1234K",
                "count=30",
                "if=" + uri,
                "of=" + piece)
            .succeeds();
    assertArrayEquals(Arrays.copyOf(frozen, 30 * 1234 * 1024), Files.readAllBytes(piece));
  }
}
