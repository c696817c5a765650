// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.integration.DirtyMap.Range;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// What stock clients make of an export with a dirty bitmap: the same of ours as of QEMU's.
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class IncrementalClientsContract {
  static final int SIZE_BYTES = 4 << 20;
  static final String BITMAP = "c1";
  static final String CONTEXT = "qemu:dirty-bitmap:" + BITMAP;

  // How Proxmox VE reads the output of nbdinfo.
  private static final Pattern PROXMOX = Pattern.compile("^\\s*(\\d+)\\s*(\\d+)\\s*(\\d+)");
  private static final String VIRTNBDBACKUP =
      """
      import sys, json
      from libvirtnbdbackup import nbdcli
      from libvirtnbdbackup.extenthandler import ExtentHandler
      export, context, socket = sys.argv[1:]
      connection = nbdcli.Unix(export, context, socket)
      handler = ExtentHandler(nbdcli.client(connection).connect(), connection)
      print(json.dumps([[e.data, e.offset, e.length] for e in handler.queryBlockStatus()]))
      """;

  private Target target;
  private Path directory = Path.of("");

  /// An export that shows `frozen`, of which `dirty` was written since the disk was `base`.
  @SuppressWarnings("ArrayRecordComponent") // never compared, never changed
  record Target(
      Path socket, String export, byte[] base, byte[] frozen, List<Range> dirty, Runnable end) {
    String uri() {
      return "nbd+unix:///" + export + "?socket=" + socket;
    }
  }

  abstract Target start(Path directory) throws IOException;

  @BeforeAll
  void startTarget(@TempDir Path directory) throws IOException {
    this.directory = directory;
    target = start(directory);
  }

  @AfterAll
  void stop() {
    target.end().run();
  }

  @Test
  void nbdinfoMapsTheBitmap() throws IOException {
    JsonNode map =
        Command.run(Peer.NBDINFO.path(), "--json", "--map=" + CONTEXT, target.uri())
            .succeeds()
            .json();
    List<Range> dirty = new ArrayList<>();
    for (JsonNode extent : map) {
      assertEquals(
          extent.path("type").asInt() == 1 ? "dirty" : "clean",
          extent.path("description").asString());
      add(dirty, extent.path("type").asInt() == 1, extent.path("offset"), extent.path("length"));
    }
    assertEquals(target.dirty(), dirty, map::toString);
  }

  @Test
  void nbdinfoMapReadsAsProxmoxReadsIt() throws IOException {
    String out =
        Command.run(Peer.NBDINFO.path(), "--map=" + CONTEXT, target.uri()).succeeds().out();
    List<Range> dirty = new ArrayList<>();
    for (String line : out.lines().toList()) {
      Matcher extent = PROXMOX.matcher(line);
      if (extent.find() && extent.group(3).equals("1")) {
        dirty.add(new Range(Long.parseLong(extent.group(1)), Long.parseLong(extent.group(2))));
      }
    }
    assertEquals(target.dirty(), dirty, out);
  }

  @Test
  void nbdinfoMapsTheAllocation() throws IOException {
    Command.Result _ = Command.run(Peer.NBDINFO.path(), "--map", target.uri()).succeeds();
  }

  @Test
  void qemuImgMapsTheBitmap() throws IOException {
    JsonNode map =
        Command.run(
                Peer.QEMU_IMG.path(), "map", "--output=json", "--image-opts", dirtyBitmapOptions())
            .succeeds()
            .json();
    List<Range> dirty = new ArrayList<>();
    for (JsonNode extent : map) {
      // Bit 0, which is "hole" in base:allocation, is "dirty" here.
      add(dirty, !extent.path("data").asBoolean(), extent.path("start"), extent.path("length"));
    }
    assertEquals(target.dirty(), dirty, map::toString);
  }

  @Test
  void qemuImgConvertsWithTheBitmap() throws IOException {
    Path copy = directory.resolve("convert-bitmap.img");
    Command.Result _ =
        Command.run(
                Peer.QEMU_IMG.path(),
                "convert",
                "--image-opts",
                dirtyBitmapOptions(),
                "-O",
                "raw",
                copy.toString())
            .succeeds();
    assertArrayEquals(target.frozen(), Files.readAllBytes(copy));
  }

  @Test
  void qemuImgConvertsWithoutIt() throws IOException {
    Path copy = directory.resolve("convert.img");
    Command.Result _ =
        Command.run(
                Peer.QEMU_IMG.path(),
                "convert",
                "-f",
                "raw",
                "-O",
                "raw",
                target.uri(),
                copy.toString())
            .succeeds();
    assertArrayEquals(target.frozen(), Files.readAllBytes(copy));
  }

  @Test
  void nbdcopyPullsAll() throws IOException {
    Path copy = directory.resolve("nbdcopy.img");
    Command.Result _ = Command.run(Peer.NBDCOPY.path(), target.uri(), copy.toString()).succeeds();
    assertArrayEquals(target.frozen(), Files.readAllBytes(copy));
  }

  // virtnbdbackup advances by its first context: unequal coverage would shift its lists.
  @Test
  void libnbdGetsTheSameCoverageForBothContexts() throws IOException {
    String script =
        """
        h.add_meta_context("base:allocation")
        h.add_meta_context("%s")
        h.connect_uri("%s")
        offset = 0
        while offset < h.get_size():
            seen = {}
            def f(context, at, entries, err):
                seen[context] = sum(entries[0::2])
            h.block_status(h.get_size() - offset, offset, f)
            assert len(seen) == 2 and len(set(seen.values())) == 1, seen
            offset += next(iter(seen.values()))
        """
            .formatted(CONTEXT, target.uri());
    Command.Result _ = Command.run("/usr/bin/python3", "-m", "nbd", "-c", script).succeeds();
  }

  @Test
  void incrementalByVirtnbdbackupsExtentsLeadsFromTheBaseToTheView() throws IOException {
    byte[] applied = target.base().clone();
    List<Range> dirty = virtnbdbackupExtents(CONTEXT);
    for (Range range : dirty) {
      int offset = Math.toIntExact(range.offsetBytes());
      int length = Math.toIntExact(range.lengthBytes());
      System.arraycopy(target.frozen(), offset, applied, offset, length);
    }
    assertEquals(target.dirty(), dirty);
    assertArrayEquals(target.frozen(), applied);
  }

  @Test
  void fullBackupByVirtnbdbackupsExtentsIsTheView() throws IOException {
    byte[] applied = new byte[SIZE_BYTES];
    for (Range range : virtnbdbackupExtents("base:allocation")) {
      int offset = Math.toIntExact(range.offsetBytes());
      int length = Math.toIntExact(range.lengthBytes());
      System.arraycopy(target.frozen(), offset, applied, offset, length);
    }
    assertArrayEquals(target.frozen(), applied);
  }

  // What it would copy.
  private List<Range> virtnbdbackupExtents(String context) throws IOException {
    String python = "/usr/bin/python3";
    Command.Result there = Command.run(python, "-c", "import libvirtnbdbackup.extenthandler");
    if (there.exitCode() != 0) {
      Peer.absent("virtnbdbackup not found: apt-get install virtnbdbackup");
    }
    Command.Result result =
        Command.run(
                python, "-c", VIRTNBDBACKUP, target.export(), context, target.socket().toString())
            .succeeds();
    List<Range> extents = new ArrayList<>();
    for (JsonNode extent : result.json()) {
      add(extents, extent.get(0).asBoolean(), extent.get(1), extent.get(2));
    }
    return extents;
  }

  private String dirtyBitmapOptions() {
    return "driver=nbd,server.type=unix,server.path="
        + target.socket()
        + ",export="
        + target.export()
        + ",x-dirty-bitmap="
        + CONTEXT;
  }

  private static void add(List<Range> ranges, boolean wanted, JsonNode offset, JsonNode length) {
    if (wanted) {
      ranges.add(new Range(offset.asLong(), length.asLong()));
    }
  }
}
