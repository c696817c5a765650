// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What a backup provider of Proxmox VE does to two disks, with their data: set up, export what was
/// named with its bitmap, read what it says is dirty, TRIM what was read, tear down.
@Timeout(120)
final class ProxmoxAccessTest {
  private static final int SIZE = 2 << 20;
  private static final int GRANULE = 65536;
  private static final List<String> DISKS = List.of("drive-scsi0", "drive-scsi1");

  @TempDir private Path directory;
  private final Map<String, byte[]> live = new LinkedHashMap<>();
  private final Map<String, byte[]> backups = new LinkedHashMap<>();

  @Test
  void eachBackupCoversAllSinceTheLastThatSucceeded() throws IOException {
    PackagedServer.Setup setup = PackagedServer.in(directory);
    for (String disk : DISKS) {
      Path image = directory.resolve(disk + ".img");
      byte[] _ = live.put(disk, Images.random(image, SIZE, disk.hashCode()));
      byte[] _ = backups.put(disk, new byte[SIZE]);
      setup = setup.disk(disk, image);
    }
    try (PackagedServer server =
            setup.with("--state", directory.resolve("state").toString()).start();
        ControlSocket control = server.control()) {
      assertEquals(2 * SIZE, backUp(server, control, "new", true, backups), "full");
      assertEquals(2 * GRANULE, backUp(server, control, "use", true, backups), "incremental");

      write(server, "drive-scsi0", 5 * GRANULE + 7, 100, 0x11);
      Map<String, byte[]> thrownAway = new HashMap<>();
      backups.forEach((disk, bytes) -> thrownAway.put(disk, bytes.clone()));
      assertEquals(3 * GRANULE, backUp(server, control, "use", false, thrownAway), "failed");

      write(server, "drive-scsi1", SIZE - 1, 1, 0x22);
      assertEquals(4 * GRANULE, backUp(server, control, "use", true, backups), "next");
      assertEquals(2 * GRANULE, backUp(server, control, "use", true, backups), "last");
    }
  }

  /// Takes a backup into `targets` and checks that they are the disks as they were when it began.
  /// Meanwhile a granule of each disk is written, which is the next backup's.
  ///
  /// @return how much was dirty
  private int backUp(
      PackagedServer server,
      ControlSocket control,
      String mode,
      boolean success,
      Map<String, byte[]> targets)
      throws IOException {
    ObjectNode target = ControlSocket.object().put("target-id", "snapshot-access:t");
    ObjectNode setup = target.deepCopy().put("timeout", 60);
    ArrayNode devices = setup.putArray("devices");
    DISKS.forEach(disk -> devices.addObject().put("device", disk).put("bitmap-mode", mode));
    JsonNode accesses = control.execute("backup-access-setup", setup);
    Path socket = directory.resolve("fleece.sock");
    ObjectNode start = ControlSocket.object();
    ObjectNode address = start.putObject("addr").put("type", "unix");
    ObjectNode _ = address.putObject("data").put("path", socket.toString());
    JsonNode _ = control.execute("nbd-server-start", start);
    int dirtyBytes = 0;
    for (JsonNode access : accesses) {
      String disk = access.path("device").asString();
      assertEquals(SIZE, access.path("size").asInt());
      assertEquals(mode.equals("new") ? "new" : "used", access.path("bitmap-action").asString());
      JsonNode _ = control.execute("block-export-add", export(access));
      byte[] frozen = live(disk).clone();
      write(server, disk, 9 * GRANULE, 1, ~frozen[9 * GRANULE] & 0xff);
      dirtyBytes += pull(socket, access, target(targets, disk), frozen);
    }
    for (String disk : DISKS) {
      JsonNode _ = control.execute("block-export-del", ControlSocket.object().put("id", disk));
    }
    JsonNode _ = control.execute("nbd-server-stop", ControlSocket.object());
    JsonNode _ = control.execute("backup-access-teardown", target.put("success", success));
    return dirtyBytes;
  }

  private static ObjectNode export(JsonNode access) {
    String disk = access.path("device").asString();
    ObjectNode export = ControlSocket.object().put("id", disk).put("type", "nbd").put("name", disk);
    export.put("node-name", access.path("node-name").asString()).put("writable", true);
    ObjectNode _ =
        export
            .putArray("bitmaps")
            .addObject()
            .put("node", access.path("bitmap-node-name").asString())
            .put("name", access.path("bitmap-name").asString());
    return export;
  }

  // Reading what is not dirty must fail: so the provider notices what it does wrong.
  private static int pull(Path socket, JsonNode access, byte[] target, byte[] frozen)
      throws IOException {
    String context = "qemu:dirty-bitmap:" + access.path("bitmap-name").asString();
    NbdUri uri = new NbdUri.Unix(socket, access.path("device").asString());
    try (NbdClient provider = NbdClient.connect(uri, List.of("base:allocation", context))) {
      List<DirtyMap.Range> dirty = DirtyMap.read(provider, context).ranges();
      int dirtyBytes = 0;
      for (DirtyMap.Range range : dirty) {
        int offset = Math.toIntExact(range.offsetBytes());
        int length = Math.toIntExact(range.lengthBytes());
        System.arraycopy(Images.read(provider, offset, length), 0, target, offset, length);
        Images.await(provider.trim(offset, length));
        dirtyBytes += length;
      }
      assertArrayEquals(frozen, target);
      if (dirtyBytes < SIZE) {
        ByteBuffer clean = ByteBuffer.allocateDirect(512);
        var _ = Images.refused(NbdError.EIO, provider.read(GRANULE, clean));
      }
      return dirtyBytes;
    }
  }

  private void write(PackagedServer server, String disk, int offset, int length, int value)
      throws IOException {
    try (NbdClient guest = server.connect(disk)) {
      Images.write(guest, offset, Images.filled(length, value));
      Arrays.fill(live(disk), offset, offset + length, (byte) value);
    }
  }

  private byte[] live(String disk) {
    return target(live, disk);
  }

  private static byte[] target(Map<String, byte[]> map, String disk) {
    byte[] bytes = map.get(disk);
    if (bytes == null) {
      throw new AssertionError("no disk " + disk);
    }
    return bytes;
  }
}
