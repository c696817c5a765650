// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static io.nbdfleece.fleecing.nbd.ServedDisks.CLUSTER;
import static io.nbdfleece.fleecing.nbd.ServedDisks.uri;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Stock clients on incremental exports: a frozen view, the bitmap of what has changed since c1
/// beside it, and a disk that is overwritten afterwards.
@Timeout(120)
final class IncrementalClientsTest {
  private static final int SIZE = 128 * CLUSTER + 4096;
  private static final int COUNT = 129;
  private static final int[] DIRTY = {0, 5, 6, 7, 40, 41, 100, 128};

  @TempDir private Path directory;
  private ServedDisks disks;
  private final byte[] frozen = new byte[SIZE];
  private Path socket = Path.of("");

  @BeforeEach
  void open() throws IOException {
    disks = new ServedDisks(directory);
    new Random(77).nextBytes(frozen);
    Arrays.fill(frozen, 32 * CLUSTER, 48 * CLUSTER, (byte) 0);
  }

  @AfterEach
  void close() throws IOException {
    disks.close();
  }

  private void serve(Outside outside, Access access) throws IOException {
    ServedDisk disk = disks.add("vda", SIZE, frozen, DiskConfig.Access.READ_WRITE);
    socket =
        disks.serve(
            ServedDisks.export(
                ServedDisks.freeze(disk, access, outside, ServedDisks.granules(SIZE, DIRTY))));
    byte[] after = new byte[SIZE];
    Arrays.fill(after, (byte) 0xee);
    ServedDisks.write(disk, 0, after);
  }

  private static boolean isDirty(int cluster) {
    return Arrays.stream(DIRTY).anyMatch(dirty -> dirty == cluster);
  }

  private static boolean isHole(int cluster) {
    return cluster >= 32 && cluster < 48;
  }

  private byte[] shown(Outside outside) {
    byte[] bytes = frozen.clone();
    for (int cluster = 0; cluster < COUNT && outside == Outside.ZERO; cluster++) {
      if (!isDirty(cluster)) {
        Arrays.fill(bytes, cluster * CLUSTER, Math.min(SIZE, (cluster + 1) * CLUSTER), (byte) 0);
      }
    }
    return bytes;
  }

  private String nbdOptions() {
    return "driver=nbd,server.type=unix,server.path="
        + socket
        + ",export=e,x-dirty-bitmap=qemu:dirty-bitmap:c1";
  }

  @ParameterizedTest
  @EnumSource
  void nbdinfoMapsTheBitmapToTheGranule(Outside outside) throws IOException {
    serve(outside, Access.READ_ONLY);
    int[] map =
        PeerCommand.run(directory, "nbdinfo", "--map=qemu:dirty-bitmap:c1", uri(socket, "e"))
            .succeeds()
            .map(SIZE, CLUSTER);
    assertArrayEquals(
        IntStream.range(0, COUNT).map(cluster -> isDirty(cluster) ? 1 : 0).toArray(), map);
  }

  @ParameterizedTest
  @EnumSource
  void nbdinfoMapsTheAllocation(Outside outside) throws IOException {
    serve(outside, Access.READ_ONLY);
    int[] map =
        PeerCommand.run(directory, "nbdinfo", "--map", uri(socket, "e"))
            .succeeds()
            .map(SIZE, CLUSTER);
    assertArrayEquals(
        IntStream.range(0, COUNT)
            .map(
                cluster ->
                    switch (outside) {
                      case DATA -> isHole(cluster) ? 3 : 0;
                      case ZERO -> isHole(cluster) || !isDirty(cluster) ? 3 : 0;
                      case ERROR -> isHole(cluster) && isDirty(cluster) ? 3 : 0;
                    })
            .toArray(),
        map);
  }

  @ParameterizedTest
  @EnumSource
  void nbdinfoMapsDepthAndTier(Outside outside) throws IOException {
    serve(outside, Access.READ_ONLY);
    int[] depth =
        PeerCommand.run(directory, "nbdinfo", "--map=qemu:allocation-depth", uri(socket, "e"))
            .succeeds()
            .map(SIZE, CLUSTER);
    int[] tier =
        PeerCommand.run(directory, "nbdinfo", "--map=x-nbdfleece:tier", uri(socket, "e"))
            .succeeds()
            .map(SIZE, CLUSTER);
    for (int cluster = 0; cluster < COUNT; cluster++) {
      boolean inside = outside == Outside.DATA || isDirty(cluster);
      assertEquals(inside ? 1 : 0, depth[cluster]);
      assertEquals(!inside ? 5 : isHole(cluster) ? 3 : 1, tier[cluster]);
    }
  }

  @ParameterizedTest
  @EnumSource
  void qemuImgMapsTheBitmap(Outside outside) throws IOException {
    serve(outside, Access.READ_ONLY);
    String json =
        PeerCommand.run(directory, "qemu-img", "map", "--output=json", "--image-opts", nbdOptions())
            .succeeds()
            .out();
    // Its way to say dirty is that there is no data.
    String[] extents = json.replaceAll("\\s", "").split("},\\{", -1);
    assertEquals(9, extents.length, json);
    assertTrue(extents[0].contains("\"length\":65536,") && extents[0].contains("\"data\":false"));
    assertTrue(extents[1].contains("\"length\":262144,") && extents[1].contains("\"data\":true"));
    assertTrue(extents[2].contains("\"length\":196608,") && extents[2].contains("\"data\":false"));
  }

  @ParameterizedTest
  @EnumSource
  void qemuImgConvertsWithTheBitmapAndWithout(Outside outside) throws IOException {
    serve(outside, Access.READ_ONLY);
    for (String options : new String[] {nbdOptions(), nbdOptions().replaceAll(",x-.*", "")}) {
      Path copy = directory.resolve("copy.raw");
      PeerCommand done =
          PeerCommand.run(
              directory,
              "qemu-img",
              "convert",
              "--image-opts",
              options,
              "-O",
              "raw",
              copy.toString());
      if (outside == Outside.ERROR) {
        var _ = done.fails();
        assertTrue(done.err().contains("Input/output error"), done::toString);
      } else {
        var _ = done.succeeds();
        assertArrayEquals(shown(outside), Arrays.copyOf(Files.readAllBytes(copy), SIZE));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void nbdcopyCopiesWhatIsShown(Outside outside) throws IOException {
    serve(outside, Access.READ_ONLY);
    Path copy = directory.resolve("copy.raw");
    PeerCommand done = PeerCommand.run(directory, "nbdcopy", uri(socket, "e"), copy.toString());
    if (outside == Outside.ERROR) {
      var _ = done.fails();
      assertTrue(done.err().contains("Input/output error"), done::toString);
    } else {
      var _ = done.succeeds();
      assertArrayEquals(shown(outside), Files.readAllBytes(copy));
    }
  }

  @ParameterizedTest
  @EnumSource
  void pythonAsksForAllContextsAfterDiscards(Outside outside) throws IOException {
    serve(outside, Access.DISCARD);
    String script =
        """
        import errno, nbd, sys
        contexts = ["base:allocation", "qemu:dirty-bitmap:c1", "qemu:allocation-depth",
                    "x-nbdfleece:tier"]
        h = nbd.NBD()
        for context in contexts:
            h.add_meta_context(context)
        h.connect_uri(sys.argv[1])
        size = h.get_size()
        def status(flags=0):
            at, all = 0, {context: [] for context in contexts}
            while at < size:
                got = {}
                def one(context, offset, entries, error):
                    got[context] = entries
                h.block_status(size - at, at, one, flags=flags)
                covered = {sum(entries[0::2]) for entries in got.values()}
                assert len(got) == 4 and len(covered) == 1, got
                for context in contexts:
                    for length, flag in zip(got[context][0::2], got[context][1::2]):
                        all[context] += [flag] * ((length + 65535) // 65536)
                at += covered.pop()
            return all
        before = status()
        assert h.can_trim() and not h.is_read_only()
        h.trim(3 * 65536, 5 * 65536)
        h.trim(65536, 60 * 65536)
        after = status()
        assert after == status(nbd.CMD_FLAG_REQ_ONE)
        assert before["qemu:dirty-bitmap:c1"] == after["qemu:dirty-bitmap:c1"]
        assert after["base:allocation"][5:8] == [0, 0, 0]
        assert after["x-nbdfleece:tier"][5:8] == [4, 4, 4]
        try:
            h.pread(65536, 6 * 65536)
            assert False
        except nbd.Error as error:
            assert error.errno == "EIO", error
        h.pread(65536, 40 * 65536)
        print("kept")
        """;
    assertEquals(
        "kept",
        PeerCommand.run(directory, "/usr/bin/python3", "-c", script, uri(socket, "e"))
            .succeeds()
            .out()
            .strip());
  }

  @Test
  void pythonAsksForAsMuchAsThereIsInOneRequest() throws IOException {
    long size = 9L << 30;
    byte[] content = new byte[3 * CLUSTER];
    Arrays.fill(content, CLUSTER, content.length, (byte) 7);
    ServedDisk disk = disks.add("large", size, content, DiskConfig.Access.READ_WRITE);
    int last = (int) (size / CLUSTER) - 1;
    socket =
        disks.serve(
            ServedDisks.export(
                ServedDisks.freeze(
                    disk,
                    Access.READ_ONLY,
                    Outside.ZERO,
                    ServedDisks.granules(size, 1, 70_000, last))));
    String script =
        """
        import nbd, sys
        h = nbd.NBD()
        h.add_meta_context("base:allocation")
        h.add_meta_context("qemu:dirty-bitmap:c1")
        h.connect_uri(sys.argv[1])
        size, at, asked, dirty = h.get_size(), 0, 0, []
        while at < size:
            got = {}
            def one(context, offset, entries, error):
                assert offset == at
                got[context] = entries
            h.block_status(min(4294967295 - 511, size - at), at, one)
            base, bits = got["base:allocation"], got["qemu:dirty-bitmap:c1"]
            assert sum(base[0::2]) == sum(bits[0::2])
            position = at
            for length, flag in zip(bits[0::2], bits[1::2]):
                if flag:
                    dirty.append((position, length))
                position += length
            assert set(base[1::2]) <= {0, 3}, base
            at, asked = position, asked + 1
        print(asked, dirty)
        """;
    assertEquals(
        "3 [(65536, 65536), (4587520000, 65536), (9663610880, 65536)]",
        PeerCommand.run(directory, "/usr/bin/python3", "-c", script, uri(socket, "e"))
            .succeeds()
            .out()
            .strip());
  }
}
