// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskBusyException;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.nbd.NamedExport.Source;
import io.nbdfleece.fleecing.nbd.NamedExports.Removal;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A disk that is taken away while somebody opens it.
@Timeout(60)
final class RemovedDiskTest {
  private static final int SIZE = 1 << 20;
  private static final Source VDA = new Source.LiveDisk("vda");

  @TempDir private Path directory;
  private ServedDisks disks;
  private ServedDisk vda;

  @BeforeEach
  void open() throws IOException {
    disks = new ServedDisks(directory);
    vda = disks.add("vda", SIZE, new byte[0], DiskConfig.Access.READ_WRITE);
  }

  @AfterEach
  void close() throws IOException {
    disks.close();
  }

  private static NamedExport named(String id) {
    return new NamedExport(id, "vda", VDA, id, true, Optional.empty(), List.of(), false);
  }

  @Test
  void clientThatFoundTheDiskJustBeforeItWentIsSentAway() throws IOException {
    Export late = new EngineExports(disks.engine).find("vda", ClientIdentity.UNKNOWN).orElseThrow();
    disks.engine.removeDisk("vda");
    int[] sentAway = {0};
    late.connected(() -> sentAway[0]++);
    assertEquals(1, sentAway[0]);
    late.disconnected();
    assertEquals(0, vda.users().clientCount());
  }

  @Test
  void clientThatIsThereKeepsTheDisk() throws IOException {
    Export opened =
        new EngineExports(disks.engine).find("vda", ClientIdentity.UNKNOWN).orElseThrow();
    opened.connected(() -> {});
    assertThrows(DiskBusyException.class, () -> disks.engine.removeDisk("vda"));
    opened.disconnected();
    disks.engine.removeDisk("vda");
  }

  @Test
  void addedExportKeepsItsDiskUntilItIsGone() throws Exception {
    NamedExports exports = new NamedExports(disks.engine, _ -> {});
    exports.add(named("e0"));
    Exception refused = assertThrows(DiskBusyException.class, () -> disks.engine.removeDisk("vda"));
    assertEquals(
        "disk vda is in use: an export shows it or a bitmap of it; delete that first",
        refused.getMessage());
    exports.remove("e0", Removal.SAFE).get(10, TimeUnit.SECONDS);
    disks.engine.removeDisk("vda");
    assertThrows(NoSuchDiskException.class, () -> exports.add(named("e1")));
  }

  @Test
  void clientOfAnExportThatHasGoneIsNoClientOfTheDisk() throws Exception {
    NamedExports exports = new NamedExports(disks.engine, _ -> {});
    exports.add(named("e0"));
    Export late = exports.find("e0", ClientIdentity.UNKNOWN).orElseThrow();
    exports.remove("e0", Removal.SAFE).get(10, TimeUnit.SECONDS);
    late.connected(() -> {});
    disks.engine.removeDisk("vda");
    late.disconnected();
    assertEquals(0, vda.users().clientCount());
  }

  /// Many clients at once with the removal: each is served as long as it stays, or refused.
  @Test
  void whoGetsInIsServedAndTheOthersAreRefused() throws Exception {
    Path socket = disks.serve(new EngineExports(disks.engine));
    try (ExecutorService threads = Executors.newCachedThreadPool()) {
      for (int round = 0; round < 30; round++) {
        CountDownLatch start = new CountDownLatch(1);
        List<Future<Boolean>> clients = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          clients.add(threads.submit(() -> readsZeroes(socket, start)));
        }
        Future<Boolean> removal = threads.submit(() -> removes(start));
        start.countDown();
        for (Future<Boolean> client : clients) {
          boolean _ = client.get(20, TimeUnit.SECONDS);
        }
        if (removal.get(20, TimeUnit.SECONDS)) {
          vda = disks.add("vda", SIZE, new byte[0], DiskConfig.Access.READ_WRITE);
        }
      }
    }
  }

  private boolean removes(CountDownLatch start) throws Exception {
    start.await();
    try {
      disks.engine.removeDisk("vda");
      return true;
    } catch (DiskBusyException e) {
      return false;
    }
  }

  /// Whether the client was served; refused is fine, anything else is not.
  private static boolean readsZeroes(Path socket, CountDownLatch start) throws Exception {
    start.await();
    NbdClient client;
    try {
      client = ServedDisks.connect(socket, "vda");
    } catch (IOException e) {
      return false;
    }
    try (client) {
      for (int i = 0; i < 4; i++) {
        try {
          client.read(0, ByteBuffer.allocateDirect(4096)).get(10, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
          String why = "" + e.getCause();
          // Sent away before its first request, or not at all.
          assertTrue(i == 0 && !why.contains("EIO") && !why.contains("closed file"), why);
          return false;
        }
      }
      return true;
    }
  }
}
