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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
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

  // A granule that is dirty has neighbours that are not: at both edges, at no boundary of a sector.
  @ParameterizedTest
  @CsvSource({"data,true", "data,false", "zero,true", "zero,false", "error,true", "error,false"})
  void libnbdReadsAcrossTheEdges(String outside, boolean structured, @TempDir Path place)
      throws IOException {
    Target target = start(place, outside);
    try {
      List<Range> reads =
          List.of(
              new Range((1 << 20) - 3, 5),
              new Range(1 << 20, 65536),
              new Range((1 << 20) + 65535, 2),
              new Range((3 << 20) + 99, 102),
              new Range(SIZE_BYTES - 131073, 131073),
              new Range(SIZE_BYTES - 1, 1),
              new Range(2 << 20, 1));
      String list =
          String.join("), (", reads.stream().map(IncrementalClientsTest::arguments).toList());
      String python =
          """
          h.set_request_structured_replies(%s)
          h.connect_uri("%s")
          for offset, length in [(%s)]:
              try:
                  print(h.pread(length, offset).hex())
              except nbd.Error as e:
                  print(e.errno)
          """
              .formatted(structured ? "True" : "False", target.uri(), list);
      String out = Command.run("/usr/bin/python3", "-m", "nbd", "-c", python).succeeds().out();
      assertEquals(
          reads.stream().map(read -> expected(outside, target.frozen(), read)).toList(),
          out.lines().toList());
    } finally {
      target.end().run();
    }
  }

  private static String arguments(Range read) {
    return read.offsetBytes() + ", " + read.lengthBytes();
  }

  // In hexadecimal, or the name of the error.
  private static String expected(String outside, byte[] frozen, Range read) {
    StringBuilder hex = new StringBuilder();
    for (long at = read.offsetBytes(); at < read.offsetBytes() + read.lengthBytes(); at++) {
      boolean inside = false;
      for (Range range : changed()) {
        inside |= at >= range.offsetBytes() && at < range.offsetBytes() + range.lengthBytes();
      }
      if (!inside && outside.equals("error")) {
        return "EIO";
      }
      byte value = inside || outside.equals("data") ? frozen[Math.toIntExact(at)] : 0;
      hex.append(HexFormat.of().toHexDigits(value));
    }
    return hex.toString();
  }

  @ParameterizedTest
  @ValueSource(strings = {"data", "zero", "error"})
  void qemuImgOfDebian13MapsTheBitmap(String outside, @TempDir Path place) throws IOException {
    Target target = start(place, outside);
    try {
      String options =
          "driver=nbd,server.type=unix,server.path=%s,export=%s,x-dirty-bitmap=%s"
              .formatted(target.socket(), target.export(), CONTEXT);
      JsonNode map =
          Command.run(
                  NewerPeers.program("qemu-img"), "map", "--output=json", "--image-opts", options)
              .succeeds()
              .json();
      List<Range> dirty = new ArrayList<>();
      for (JsonNode extent : map) {
        if (!extent.path("data").asBoolean()) {
          dirty.add(new Range(extent.path("start").asLong(), extent.path("length").asLong()));
        }
      }
      assertEquals(changed(), dirty, map::toString);
    } finally {
      target.end().run();
    }
  }

  @Test
  void writesOfWhatIsThereAlreadyAreNotMarkedIfThatIsWanted(@TempDir Path place)
      throws IOException {
    Path image = place.resolve("vda.img");
    byte[] content = Images.random(image, SIZE_BYTES, 99);
    try (PackagedServer server =
            PackagedServer.in(place).disk("vda", image).with("--skip-unchanged-writes").start();
        ControlSocket control = server.control();
        NbdClient guest = server.connect("vda")) {
      ObjectNode bitmap = ControlSocket.object().put("node", "vda").put("name", "b0");
      JsonNode _ = control.execute("block-dirty-bitmap-add", bitmap);
      ByteBuffer same = ByteBuffer.allocateDirect(256 << 10).put(content, 0, 256 << 10).flip();
      Images.write(guest, 0, same);
      JsonNode none = control.execute("x-nbdfleece-bitmap-dump", bitmap).path("extents");
      assertEquals(0, none.size(), none::toString);
      byte[] other = content.clone();
      other[65536] ^= 1;
      Images.write(guest, 0, ByteBuffer.allocateDirect(256 << 10).put(other, 0, 256 << 10).flip());
      JsonNode one = control.execute("x-nbdfleece-bitmap-dump", bitmap).path("extents");
      assertEquals("[{\"offset\":65536,\"length\":65536}]", one.toString());
    }
  }
}
