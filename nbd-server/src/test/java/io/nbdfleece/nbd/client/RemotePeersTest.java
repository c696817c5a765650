// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import io.nbdfleece.nbd.client.RemoteExportTest.Outcome;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Remote exports of nbdkit and qemu-nbd. Skipped where they are not installed.
@Timeout(120)
final class RemotePeersTest {
  private static final int SIZE_BYTES = 16 << 20;
  private static final int WRITER_COUNT = 8;
  private static final int RESTART_COUNT = 3;

  @TempDir Path directory;

  private interface PeerStart {
    PeerProcess start() throws IOException;
  }

  private static RemoteExport open(PeerProcess peer) throws IOException {
    return RemoteExport.open(
        peer.uri(""),
        new RemoteOptions(4, Duration.ofSeconds(60), Duration.ZERO),
        ClientOptions.defaults());
  }

  @Test
  void nothingIsLostWhenQemuIsKilledUnderLoad() throws Exception {
    Path image = image();
    killedUnderLoad(() -> PeerProcess.qemuNbd(directory, image), image);
  }

  @Test
  void nothingIsLostWhenNbdkitIsKilledUnderLoad() throws Exception {
    Path image = image();
    killedUnderLoad(
        () ->
            PeerProcess.nbdkit(directory, "--filter=delay", "file", image.toString(), "wdelay=1ms"),
        image);
  }

  /// Writers with one request in flight each; the server dies and returns in between. Every write
  /// must end well, exactly once, and be there at the end.
  private void killedUnderLoad(PeerStart start, Path image) throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    byte[] oracle = new byte[SIZE_BYTES];
    AtomicBoolean stop = new AtomicBoolean();
    Semaphore written = new Semaphore(0);
    PeerProcess peer = start.start();
    try (RemoteExport export = open(peer)) {
      List<CompletableFuture<Void>> writers = new ArrayList<>();
      for (int i = 0; i < WRITER_COUNT; i++) {
        int number = i;
        writers.add(
            CompletableFuture.runAsync(
                () -> write(export, number, new Random(seed + number), oracle, stop, written),
                task -> Thread.ofVirtual().start(task)));
      }
      for (int i = 0; i < RESTART_COUNT; i++) {
        assertTrue(written.tryAcquire(200, 60, TimeUnit.SECONDS), "writes go on");
        peer.kill();
        peer = start.start();
      }
      assertTrue(written.tryAcquire(200, 60, TimeUnit.SECONDS), "writes go on");
      stop.set(true);
      for (CompletableFuture<Void> writer : writers) {
        writer.get();
      }
      Outcome flushed = new Outcome();
      export.flush(flushed);
      flushed.get();
      ByteBuffer all = ByteBuffer.allocateDirect(SIZE_BYTES);
      Outcome read = new Outcome();
      export.read(0, all, read);
      read.get();
      byte[] got = new byte[SIZE_BYTES];
      all.clear().get(got);
      assertArrayEquals(oracle, got, "test.seed=" + seed);
    } finally {
      peer.close();
    }
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "r")) {
      byte[] stored = new byte[SIZE_BYTES];
      file.readFully(stored);
      assertArrayEquals(oracle, stored, "test.seed=" + seed);
    }
  }

  private static void write(
      RemoteExport export,
      int number,
      Random random,
      byte[] oracle,
      AtomicBoolean stop,
      Semaphore written) {
    int regionBytes = SIZE_BYTES / WRITER_COUNT;
    while (!stop.get()) {
      int length = 512 * (1 + random.nextInt(64));
      int offset = number * regionBytes + 512 * random.nextInt((regionBytes - length) / 512);
      byte[] data = new byte[length];
      random.nextBytes(data);
      ByteBuffer direct = ByteBuffer.allocateDirect(length).put(data).flip();
      Outcome outcome = new Outcome();
      Export.Durability durability =
          random.nextInt(8) == 0 ? Export.Durability.DURABLE : Export.Durability.CACHED;
      export.write(offset, direct, durability, outcome);
      outcome.join();
      System.arraycopy(data, 0, oracle, offset, length);
      written.release();
    }
  }

  @Test
  void severalConnectionsAreUsedWhereTheServerAllowsThem() throws Exception {
    try (PeerProcess peer = PeerProcess.nbdkit(directory, "memory", "16M");
        RemoteExport export = open(peer)) {
      assertTrue(export.info().can(ExportInfo.Ability.MULTI_CONN));
      Awaitility.await().until(() -> export.connectionCount() == 4);
    }
  }

  @Test
  void serverThatRefusesMoreConnectionsIsUsedWithThoseItGives() throws Exception {
    try (PeerProcess peer =
            PeerProcess.nbdkit(directory, "--filter=limit", "memory", "16M", "limit=2");
        RemoteExport export = open(peer)) {
      Awaitility.await().until(() -> export.connectionCount() == 2);
      for (int i = 0; i < 100; i++) {
        Outcome outcome = new Outcome();
        export.write(i * 512L, ByteBuffer.allocateDirect(512), Export.Durability.CACHED, outcome);
        outcome.get();
      }
      assertTrue(export.connectionCount() >= 1);
    }
  }

  @Test
  void errorsOfTheServerAreErrorsAndNotRepeated() throws Exception {
    try (PeerProcess peer =
            PeerProcess.nbdkit(
                directory, "--filter=error", "pattern", "16M", "error-pread-rate=10%");
        RemoteExport export = open(peer)) {
      AtomicInteger failed = new AtomicInteger();
      for (int i = 0; i < 500; i++) {
        ByteBuffer target = ByteBuffer.allocateDirect(8);
        Outcome outcome = new Outcome();
        export.read(i * 8L, target, outcome);
        try {
          outcome.get();
          assertEquals(i * 8L, target.getLong(0));
        } catch (ExecutionException e) {
          assertEquals(NbdError.EIO, assertInstanceOf(NbdException.class, e.getCause()).error());
          failed.incrementAndGet();
        }
      }
      assertTrue(failed.get() > 10 && failed.get() < 150, "failed: " + failed);
    }
  }

  @Test
  void qcow2OfQemuIsReadWrittenAndMapped() throws Exception {
    PeerProcess.requireInstalled("qemu-img");
    Path image = directory.resolve("disk.qcow2");
    Process create =
        new ProcessBuilder("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "16M")
            .inheritIO()
            .start();
    assertEquals(0, create.waitFor());
    try (PeerProcess peer = PeerProcess.qemuNbd(directory, image, "-f", "qcow2", "-A");
        RemoteExport export = open(peer)) {
      assertEquals(
          List.of("base:allocation", "qemu:allocation-depth"),
          export.info().metaContexts().stream().sorted().toList());
      ByteBuffer data = ByteBuffer.allocateDirect(65536);
      while (data.hasRemaining()) {
        data.put((byte) 9);
      }
      Outcome outcome = new Outcome();
      export.write(1 << 20, data.flip(), Export.Durability.DURABLE, outcome);
      outcome.get();
      CompletableFuture<List<ContextExtents>> status = new CompletableFuture<>();
      export.blockStatus(
          0,
          SIZE_BYTES,
          List.of("qemu:allocation-depth", "base:allocation"),
          100,
          new StatusCompletion() {
            @Override
            public void succeeded(List<ContextExtents> contexts) {
              status.complete(contexts);
            }

            @Override
            public void failed(IOException error) {
              status.completeExceptionally(error);
            }
          });
      List<ContextExtents> contexts = status.get();
      assertEquals("qemu:allocation-depth", contexts.get(0).context());
      assertEquals(
          List.of(
              new Extent(1 << 20, Extent.HOLE | Extent.ZERO),
              new Extent(65536, 0),
              new Extent(SIZE_BYTES - (1 << 20) - 65536, Extent.HOLE | Extent.ZERO)),
          contexts.get(1).extents());
    }
  }

  @Test
  void contextsOfAnExportAreListed() throws Exception {
    Path image = image();
    try (PeerProcess peer = PeerProcess.qemuNbd(directory, image, "-A")) {
      assertEquals(
          List.of("base:allocation", "qemu:allocation-depth"),
          NbdClient.listContexts(peer.uri(""), ClientOptions.defaults()));
      try (NbdClient client =
          NbdClient.connect(
              peer.uri(""), ClientOptions.defaults().withContexts(List.of("qemu:", "x:y")))) {
        assertEquals(List.of("qemu:allocation-depth"), client.negotiated().contexts());
        assertEquals(SIZE_BYTES, client.negotiated().sizeBytes());
        assertEquals(32 << 20, client.negotiated().maximumBlockBytes().orElseThrow());
      }
    }
  }

  private Path image() throws IOException {
    Path image = directory.resolve("disk.img");
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(SIZE_BYTES);
    }
    return image;
  }
}
