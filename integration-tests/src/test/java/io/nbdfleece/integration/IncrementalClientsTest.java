// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.nbdfleece.integration.DirtyMap.Range;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Unmodified clients on our incremental exports, whatever lies outside of the bitmap.
final class IncrementalClientsTest extends IncrementalClientsContract {
  /// What the guest does between base and view.
  static void change(NbdClient guest, byte[] content) throws IOException {
    Images.write(guest, 1 << 20, Images.filled(65536, 0x11));
    Arrays.fill(content, 1 << 20, (1 << 20) + 65536, (byte) 0x11);
    Images.write(guest, (3 << 20) + 100, Images.filled(100, 0x22));
    Arrays.fill(content, (3 << 20) + 100, (3 << 20) + 200, (byte) 0x22);
    Images.await(
        guest.writeZeroes(
            SIZE_BYTES - 131072, 131072, Export.Zeroing.MAY_PUNCH, Export.Durability.CACHED));
    Arrays.fill(content, SIZE_BYTES - 131072, SIZE_BYTES, (byte) 0);
  }

  /// The granules that [#change] touches.
  static List<Range> changed() {
    return List.of(
        new Range(1 << 20, 65536),
        new Range(3 << 20, 65536),
        new Range(SIZE_BYTES - 131072, 131072));
  }

  @Override
  Target start(Path directory) throws IOException {
    return start(directory, "data");
  }

  private static Target start(Path directory, String outside) throws IOException {
    Path image = directory.resolve("vda.img");
    byte[] base = Images.random(image, SIZE_BYTES, 99);
    byte[] frozen = base.clone();
    PackagedServer server =
        PackagedServer.in(directory)
            .disk("vda", image)
            .with("--state", directory.resolve("state").toString())
            .start();
    try (ControlSocket control = server.control();
        NbdClient guest = server.connect("vda")) {
      ObjectNode full = ModelServer.arguments("full", List.of("vda")).put("checkpoint", BITMAP);
      JsonNode _ = control.execute("fleecing-start", full);
      JsonNode _ =
          control.execute(
              "fleecing-stop", ControlSocket.object().put("name", "full").put("success", true));
      change(guest, frozen);
      ObjectNode incremental =
          ModelServer.arguments("inc", List.of("vda"))
              .put("checkpoint", "c2")
              .put("since", BITMAP)
              .put("outside", outside);
      JsonNode _ = control.execute("fleecing-start", incremental);
      // What comes later is seen by nobody.
      Images.write(guest, 0, Images.filled(SIZE_BYTES, 0xee));
    }
    return new Target(server.socket(), "vda@inc", base, frozen, changed(), server::close);
  }

  @Test
  void outsideZeroIsADeltaThatNbdcopyPullsSparse(@TempDir Path place) throws IOException {
    Target target = start(place, "zero");
    try {
      Path delta = place.resolve("delta.img");
      Command.Result _ =
          Command.run(Peer.NBDCOPY.path(), target.uri(), delta.toString()).succeeds();
      byte[] expected = new byte[SIZE_BYTES];
      for (Range range : changed()) {
        int offset = Math.toIntExact(range.offsetBytes());
        int length = Math.toIntExact(range.lengthBytes());
        System.arraycopy(target.frozen(), offset, expected, offset, length);
      }
      assertArrayEquals(expected, Files.readAllBytes(delta));
      long allocatedBytes = Images.allocatedBytes(delta);
      assertEquals(65536 + 65536, allocatedBytes, "allocated");
    } finally {
      target.end().run();
    }
  }

  @Test
  void outsideErrorRefusesReadsAndMapsAll(@TempDir Path place) throws IOException {
    Target target = start(place, "error");
    try (NbdClient backup =
        NbdClient.connect(
            new NbdUri.Unix(target.socket(), target.export()),
            List.of("base:allocation", CONTEXT))) {
      assertEquals(changed(), DirtyMap.read(backup, CONTEXT).ranges());
      assertArrayEquals(
          Arrays.copyOfRange(target.frozen(), 1 << 20, (1 << 20) + 65536),
          Images.read(backup, 1 << 20, 65536));
      String text =
          Images.refused(NbdError.EIO, backup.read(0, ByteBuffer.allocateDirect(4096))).toString();
      assertNotEquals("", text);
      Command.Result _ = Command.run(Peer.NBDINFO.path(), "--map", target.uri()).succeeds();
      Command.Result copy =
          Command.run(Peer.NBDCOPY.path(), target.uri(), place.resolve("copy").toString());
      assertNotEquals(0, copy.exitCode(), copy::toString);
    } finally {
      target.end().run();
    }
  }
}
