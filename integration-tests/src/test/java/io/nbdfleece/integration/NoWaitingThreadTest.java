// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// A request that has to wait holds up nothing else. Shown with a disk that answers reads only when
/// a number of them has come: no clock decides.
@Timeout(120)
final class NoWaitingThreadTest {
  private static final int TOGETHER = 32;

  @TempDir private Path directory;

  @Test
  void thirtyTwoSlowReadsOfOneConnectionAreUnderWayTogether() throws Exception {
    try (HeldReads disk = HeldReads.start(directory.resolve("held.sock"), TOGETHER);
        NbdClient client = NbdClient.connect(disk.uri(), List.of())) {
      for (CompletableFuture<Void> answer : reads(client, TOGETHER)) {
        Images.await(answer);
      }
      assertEquals(TOGETHER, disk.readsMax());
    }
  }

  @Test
  void slowReadsHoldUpNoOtherRequestOfTheirConnection() throws Exception {
    try (HeldReads disk = HeldReads.start(directory.resolve("held.sock"), TOGETHER);
        NbdClient client = NbdClient.connect(disk.uri(), List.of())) {
      List<CompletableFuture<Void>> slow = reads(client, TOGETHER - 1);
      disk.awaitReads(TOGETHER - 1);
      byte[] _ = Images.read(client, HeldReads.SIZE_BYTES / 2, 4096);
      slow.forEach(answer -> assertFalse(answer.isDone()));
      disk.letGo();
      for (CompletableFuture<Void> answer : slow) {
        Images.await(answer);
      }
    }
  }

  @Test
  void slowReadsHoldUpNoOtherConnectionOfTheirEventLoop() throws Exception {
    try (HeldReads disk = HeldReads.start(directory.resolve("held.sock"), TOGETHER);
        NbdClient client = NbdClient.connect(disk.uri(), List.of())) {
      List<CompletableFuture<Void>> slow = reads(client, TOGETHER - 1);
      disk.awaitReads(TOGETHER - 1);
      try (NbdClient other = NbdClient.connect(disk.uri(), List.of())) {
        byte[] _ = Images.read(other, HeldReads.SIZE_BYTES / 2, 4096);
      }
      slow.forEach(answer -> assertFalse(answer.isDone()));
      disk.letGo();
      for (CompletableFuture<Void> answer : slow) {
        Images.await(answer);
      }
    }
  }

  @Test
  void packagedServerKeepsManySlowReadsOfItsDiskUnderWay() throws Exception {
    // As many as the kernel's FUSE lets through for certain.
    int together = 8;
    try (HeldReads held = HeldReads.start(directory.resolve("held.sock"), together);
        FuseDisk disk = FuseDisk.mount(directory.resolve("vda.img"), held.uri());
        PackagedServer server =
            PackagedServer.in(directory).disk("vda", disk.file()).with("--read-only").start();
        NbdClient client = server.connect("vda")) {
      List<CompletableFuture<Void>> slow = reads(client, TOGETHER);
      held.awaitReads(together);
      assertTrue(held.readsMax() >= together, "together: " + held.readsMax());
      // Whatever does not fill up a group of eight any more.
      CompletableFuture<Void> all = CompletableFuture.allOf(slow.toArray(CompletableFuture[]::new));
      Awaitility.await()
          .until(
              () -> {
                held.letGo();
                return all.isDone();
              });
      Images.await(all);
    }
  }

  @Test
  void slowReadOfOneDiskHoldsNoOtherDiskUp() throws Exception {
    // Reads of unchanged data wait for the disk; those of another disk must not.
    Path image = directory.resolve("vdb.img");
    byte[] old = Images.random(image, 4 << 20, 6);
    try (HeldReads held = HeldReads.start(directory.resolve("held.sock"), 1000);
        FuseDisk slow = FuseDisk.mount(directory.resolve("vda.img"), held.uri());
        PackagedServer server =
            PackagedServer.in(directory)
                .disk("vdb", image)
                .disk("vda", slow.file())
                .with("--read-only")
                .start()) {
      JsonNode _ = server.snapshot("nightly");
      try (NbdClient waiting = server.connect("vda@nightly");
          NbdClient other = server.connect("vdb@nightly")) {
        List<CompletableFuture<Void>> reads = reads(waiting, 4);
        held.awaitReads(1);
        assertArrayEquals(old, Images.read(other, 0, 4 << 20));
        reads.forEach(answer -> assertFalse(answer.isDone()));
        CompletableFuture<Void> all =
            CompletableFuture.allOf(reads.toArray(CompletableFuture[]::new));
        Awaitility.await()
            .until(
                () -> {
                  held.letGo();
                  return all.isDone();
                });
      }
    }
  }

  private static List<CompletableFuture<Void>> reads(NbdClient client, int count) {
    List<CompletableFuture<Void>> answers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      answers.add(client.read(i * (1L << 19), ByteBuffer.allocateDirect(4096)));
    }
    return answers;
  }
}
