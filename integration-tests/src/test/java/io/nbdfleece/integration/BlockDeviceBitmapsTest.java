// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Bitmaps of a block device outlive the server: a loop device, which only root can make.
@Timeout(120)
final class BlockDeviceBitmapsTest {
  private static final int SIZE = 8 << 20;
  private static final int GRANULE = 4096;

  @TempDir private Path directory;
  private Path device = Path.of("");

  @BeforeEach
  void makeDevice() throws IOException {
    Path image = Images.sparse(directory.resolve("device.img"), SIZE);
    Command.Result losetup = Command.run("losetup", "--find", "--show", image.toString());
    if (losetup.exitCode() != 0) {
      Peer.absent("no loop device here: " + losetup.err());
    }
    device = Path.of(losetup.out().strip());
  }

  @AfterEach
  void removeDevice() throws IOException {
    Command.Result _ = Command.run("losetup", "-d", device.toString()).succeeds();
  }

  private PackagedServer serve() throws IOException {
    return PackagedServer.in(directory)
        .disk("vda", device)
        .with("--state", directory.resolve("state").toString())
        .start();
  }

  private static ObjectNode bitmap(String name) {
    return ControlSocket.object().put("node", "vda").put("name", name);
  }

  private static void add(PackagedServer server) throws IOException {
    try (ControlSocket control = server.control()) {
      ObjectNode b0 = bitmap("b0").put("persistent", true).put("granularity", GRANULE);
      JsonNode _ = control.execute("block-dirty-bitmap-add", b0);
    }
  }

  private static void write(PackagedServer server, int offset) throws IOException {
    try (NbdClient guest = server.connect("vda")) {
      Images.write(guest, offset, Images.filled(1, 0x55));
    }
  }

  private static JsonNode dump(PackagedServer server) throws IOException {
    try (ControlSocket control = server.control()) {
      return control.execute("x-nbdfleece-bitmap-dump", bitmap("b0")).path("extents");
    }
  }

  private static void assertDirty(PackagedServer server, List<Integer> offsets) throws IOException {
    JsonNode extents = dump(server);
    assertEquals(
        offsets,
        extents.values().stream().map(extent -> extent.path("offset").asInt()).toList(),
        extents::toString);
    extents.forEach(extent -> assertEquals(GRANULE, extent.path("length").asInt()));
  }

  @Test
  void theyAreExactAfterACleanStopAndAfterAKill() throws IOException {
    try (PackagedServer server = serve()) {
      add(server);
      write(server, 5 * GRANULE + 17);
    }
    PackagedServer killed = serve();
    assertDirty(killed, List.of(5 * GRANULE));
    write(killed, SIZE - 1);
    killed.kill();
    try (PackagedServer server = serve()) {
      assertDirty(server, List.of(5 * GRANULE, SIZE - GRANULE));
    }
  }

  @Test
  void aChangeAtTheBeginningWhileNobodyServedItIsNoticed() throws IOException {
    try (PackagedServer server = serve()) {
      add(server);
    }
    try (RandomAccessFile other = new RandomAccessFile(device.toFile(), "rw")) {
      other.seek(4096);
      other.write(1);
      other.getFD().sync();
    }
    try (PackagedServer server = serve()) {
      Command.Result _ =
          server
              .run("snapshot", "vda", "--since", "b0")
              .exits(4)
              .says("b0", "inconsistent", "full backup");
      assertTrue(server.log().contains("was changed while it was not served"), server.log());
      try (ControlSocket control = server.control()) {
        JsonNode _ = control.execute("block-dirty-bitmap-remove", bitmap("b0"));
      }
    }
  }
}
