// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The client against nbdkit and qemu-nbd. Skipped where they are not installed.
@Timeout(60)
final class RealPeersTest {
  private static final int SIZE_BYTES = 16 << 20;

  @TempDir Path directory;

  @Test
  void randomRequestsOnNbdkitMatchAnArray() throws Exception {
    try (PeerProcess peer = PeerProcess.nbdkit(directory, "memory", "16M");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of("base:allocation"))) {
      randomRequestsMatchAnArray(client);
    }
  }

  @Test
  void randomRequestsOnNbdkitWithSimpleRepliesMatchAnArray() throws Exception {
    try (PeerProcess peer = PeerProcess.nbdkit(directory, "--no-sr", "memory", "16M");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of("base:allocation"))) {
      assertEquals(List.of(), client.info().metaContexts());
      randomRequestsMatchAnArray(client);
    }
  }

  @Test
  void randomRequestsOnNbdkitWithoutFixedNewstyleMatchAnArray() throws Exception {
    try (PeerProcess peer = PeerProcess.nbdkit(directory, "--mask-handshake=0", "memory", "16M");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of())) {
      randomRequestsMatchAnArray(client);
    }
  }

  @Test
  void randomRequestsOnQemuMatchAnArray() throws Exception {
    try (PeerProcess peer = PeerProcess.qemuNbd(directory, image());
        NbdClient client = NbdClient.connect(peer.uri(""), List.of("base:allocation"))) {
      randomRequestsMatchAnArray(client);
    }
  }

  @Test
  void randomRequestsOnSlowNbdkitMatchAnArray() throws Exception {
    try (PeerProcess peer =
            PeerProcess.nbdkit(
                directory, "--filter=delay", "memory", "16M", "rdelay=2ms", "wdelay=1ms");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of("base:allocation"))) {
      randomRequestsMatchAnArray(client);
    }
  }

  @Test
  void errorOfNbdkitFailsTheReadAndNotTheConnection() throws Exception {
    try (PeerProcess peer =
            PeerProcess.nbdkit(
                directory,
                "--filter=error",
                "memory",
                "16M",
                "error=ENOSPC",
                "error-pread-rate=1");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of())) {
      NbdException error = failure(client.read(0, ByteBuffer.allocateDirect(4096)));
      assertEquals(NbdError.ENOSPC, error.error());
      client.write(0, ByteBuffer.allocateDirect(4096), Export.Durability.DURABLE).get();
    }
  }

  @Test
  void oneInTenReadsFailsOnNbdkitAndTheOthersAreRight() throws Exception {
    try (PeerProcess peer =
            PeerProcess.nbdkit(
                directory, "--filter=error", "pattern", "16M", "error-pread-rate=10%");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of())) {
      List<ByteBuffer> targets = new ArrayList<>();
      List<CompletableFuture<Void>> reads = new ArrayList<>();
      for (int i = 0; i < 500; i++) {
        targets.add(ByteBuffer.allocateDirect(8));
        reads.add(client.read(i * 8L, targets.get(i)));
      }
      int failed = 0;
      for (int i = 0; i < 500; i++) {
        try {
          reads.get(i).get();
          assertEquals(i * 8L, targets.get(i).getLong(0));
        } catch (ExecutionException e) {
          assertEquals(NbdError.EIO, assertInstanceOf(NbdException.class, e.getCause()).error());
          failed++;
        }
      }
      assertTrue(failed > 10 && failed < 150, "failed: " + failed);
    }
  }

  @Test
  void sparseFileShowsItsHoles() throws Exception {
    for (PeerStart start : peersOfAFile()) {
      try (PeerProcess peer = start.start();
          NbdClient client = NbdClient.connect(peer.uri(""), List.of("base:allocation"))) {
        client.write(1 << 20, filled(65536, 7), Export.Durability.DURABLE).get();
        ContextExtents status = client.blockStatus(0, SIZE_BYTES).get().getFirst();
        assertEquals(new Extent(1 << 20, Extent.HOLE | Extent.ZERO), status.extents().getFirst());
        assertEquals(0, status.extents().get(1).flags());
        ByteBuffer all = filled(SIZE_BYTES, 9);
        client.read(0, all).get();
        assertEquals(0, all.get((1 << 20) - 1));
        assertEquals(7, all.get(1 << 20));
        assertEquals(0, all.get((1 << 20) + 65536));
      }
    }
  }

  @Test
  void unknownExportSaysWhichOnesThereAre() throws Exception {
    try (PeerProcess peer = PeerProcess.qemuNbd(directory, image(), "-x", "a b@/c")) {
      IOException error =
          assertThrows(
              IOException.class, () -> NbdClient.connect(peer.uri("nope"), List.of()).close());
      assertTrue(message(error).contains("no export \"nope\""), error.toString());
      assertTrue(message(error).contains("it lists \"a b@/c\""), error.toString());
      assertEquals(List.of(new NbdClient.ListedExport("a b@/c", "")), NbdClient.list(peer.uri("")));
      NbdClient.connect(peer.uri("a b@/c"), List.of()).close();
    }
  }

  @Test
  void readOnlyExportRefusesWrites() throws Exception {
    try (PeerProcess peer = PeerProcess.qemuNbd(directory, image(), "-r");
        NbdClient client = NbdClient.connect(peer.uri(""), List.of())) {
      assertFalse(client.info().can(ExportInfo.Ability.WRITE));
      NbdException error = failure(client.write(0, filled(1, 1), Export.Durability.CACHED));
      assertEquals(NbdError.EPERM, error.error());
      assertEquals(NbdError.EPERM, failure(client.trim(0, 512)).error());
    }
  }

  @Test
  void oldstyleServerIsRefusedWithTheReason() throws Exception {
    try (PeerProcess peer = PeerProcess.nbdkit(directory, "-o", "memory", "16M")) {
      IOException error =
          assertThrows(IOException.class, () -> NbdClient.connect(peer.uri(""), List.of()).close());
      assertTrue(message(error).contains("oldstyle"), error.toString());
    }
  }

  @Test
  void uriIsReadByNbdinfoInBothForms() throws Exception {
    PeerProcess.requireInstalled("nbdinfo");
    String name = "a b@/c?d#e%f&é:+";
    try (PeerProcess peer = PeerProcess.qemuNbd(directory, image(), "-x", name)) {
      String printed = peer.uri(name).toString();
      assertTrue(printed.contains("/a%20b@/c"), printed);
      String escaped = printed.replaceFirst("@/c", "%40%2Fc");
      for (String uri : List.of(printed, escaped)) {
        assertEquals(NbdUri.parse(printed), NbdUri.parse(uri));
        Process nbdinfo =
            new ProcessBuilder("nbdinfo", "--size", uri)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        assertTrue(nbdinfo.waitFor(10, TimeUnit.SECONDS), uri);
        assertEquals(0, nbdinfo.exitValue(), uri);
      }
    }
  }

  private static void randomRequestsMatchAnArray(NbdClient client) throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    Random random = new Random(seed);
    byte[] oracle = new byte[SIZE_BYTES];
    for (int round = 0; round < 20; round++) {
      List<CompletableFuture<Void>> writes = new ArrayList<>();
      for (int slot = 0; slot < 16; slot++) {
        int offset = slot * (1 << 20) + random.nextInt(1 << 19);
        int length = 1 + random.nextInt(1 << 19);
        writes.add(change(client, random, oracle, offset, length));
      }
      for (CompletableFuture<Void> write : writes) {
        write.get();
      }
      client.flush().get();
      List<CompletableFuture<Void>> reads = new ArrayList<>();
      List<ByteBuffer> targets = new ArrayList<>();
      List<Integer> offsets = new ArrayList<>();
      for (int i = 0; i < 32; i++) {
        int length = 1 + random.nextInt(1 << 20);
        offsets.add(random.nextInt(SIZE_BYTES - length));
        targets.add(i % 2 == 0 ? ByteBuffer.allocateDirect(length) : ByteBuffer.allocate(length));
        reads.add(client.read(offsets.get(i), targets.get(i)));
      }
      for (int i = 0; i < 32; i++) {
        reads.get(i).get();
        byte[] got = new byte[targets.get(i).remaining()];
        targets.get(i).get(got);
        int offset = offsets.get(i);
        assertArrayEquals(
            Arrays.copyOfRange(oracle, offset, offset + got.length), got, "test.seed=" + seed);
      }
    }
  }

  private static CompletableFuture<Void> change(
      NbdClient client, Random random, byte[] oracle, int offset, int length) {
    if (random.nextInt(4) == 0 && client.info().can(ExportInfo.Ability.WRITE_ZEROES)) {
      Arrays.fill(oracle, offset, offset + length, (byte) 0);
      return client.writeZeroes(offset, length, Export.Zeroing.MAY_PUNCH);
    }
    byte[] data = new byte[length];
    random.nextBytes(data);
    System.arraycopy(data, 0, oracle, offset, length);
    ByteBuffer buffer =
        random.nextBoolean()
            ? ByteBuffer.wrap(data).asReadOnlyBuffer()
            : ByteBuffer.allocateDirect(length).put(data).flip();
    return client.write(
        offset,
        buffer,
        random.nextInt(8) == 0 ? Export.Durability.DURABLE : Export.Durability.CACHED);
  }

  private interface PeerStart {
    PeerProcess start() throws IOException;
  }

  private List<PeerStart> peersOfAFile() throws IOException {
    Path nbdkitImage = image();
    return List.of(
        () -> PeerProcess.nbdkit(directory, "file", nbdkitImage.toString()),
        () -> PeerProcess.qemuNbd(directory, image()));
  }

  private Path image() throws IOException {
    Path image = directory.resolve("disk.img");
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(0);
      file.setLength(SIZE_BYTES);
    }
    return image;
  }

  private static ByteBuffer filled(int length, int value) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) value);
    return ByteBuffer.allocateDirect(length).put(bytes).flip();
  }

  private static String message(Throwable error) {
    return String.valueOf(error.getMessage());
  }

  private static NbdException failure(CompletableFuture<?> future) {
    ExecutionException error = assertThrows(ExecutionException.class, future::get);
    return assertInstanceOf(NbdException.class, error.getCause());
  }
}
