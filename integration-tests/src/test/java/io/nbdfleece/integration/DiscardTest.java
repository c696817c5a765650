// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Space that is given back: by the guest on its disk, by the backup client on the snapshot. The
/// disk has an odd size: its last cluster is short.
@Timeout(120)
final class DiscardTest {
  private static final int CLUSTER_BYTES = 16 << 10;
  private static final int LAST_CLUSTER_BYTES = 4608;
  private static final int SIZE_BYTES = 16 * CLUSTER_BYTES + LAST_CLUSTER_BYTES;

  @TempDir private Path directory;
  private Path image = Path.of("");
  private byte[] old = new byte[0];
  private PackagedServer server;
  private NbdClient guest;

  @BeforeEach
  void start() throws IOException {
    image = directory.resolve("vda.img");
    old = Images.random(image, SIZE_BYTES, 2);
    server = PackagedServer.in(directory).disk("vda", image).with("--ram", "1M").start();
    guest = server.connect("vda");
  }

  @AfterEach
  void stop() {
    guest.close();
    server.close();
  }

  @Test
  void guestTrimPreservesFirstAndPunchesAHole() throws IOException {
    JsonNode _ = server.snapshot("nightly");
    long allocatedBytes = Images.allocatedBytes(image);
    Images.await(guest.trim(2 * CLUSTER_BYTES, 4 * CLUSTER_BYTES));
    assertTrue(Images.allocatedBytes(image) <= allocatedBytes - 4 * CLUSTER_BYTES);
    assertArrayEquals(old, readAll("vda@nightly"));
    assertArrayEquals(zeroed(2 * CLUSTER_BYTES, 4 * CLUSTER_BYTES), readAll("vda"));
  }

  @Test
  void guestZeroingPreservesFirstAndPunchesAHole() throws IOException {
    JsonNode _ = server.snapshot("nightly");
    long allocatedBytes = Images.allocatedBytes(image);
    Images.await(guest.writeZeroes(2 * CLUSTER_BYTES, 4 * CLUSTER_BYTES, Export.Zeroing.MAY_PUNCH));
    assertTrue(Images.allocatedBytes(image) <= allocatedBytes - 4 * CLUSTER_BYTES);
    assertArrayEquals(old, readAll("vda@nightly"));
    assertArrayEquals(zeroed(2 * CLUSTER_BYTES, 4 * CLUSTER_BYTES), readAll("vda"));
  }

  @Test
  void guestZeroingThatMustStayProvisionedPreservesFirstAndKeepsTheSpace() throws IOException {
    JsonNode _ = server.snapshot("nightly");
    long allocatedBytes = Images.allocatedBytes(image);
    Images.await(guest.writeZeroes(100, 3 * CLUSTER_BYTES, Export.Zeroing.NO_HOLE));
    assertTrue(Images.allocatedBytes(image) >= allocatedBytes);
    assertArrayEquals(old, readAll("vda@nightly"));
    assertArrayEquals(zeroed(100, 3 * CLUSTER_BYTES), readAll("vda"));
  }

  @Test
  void discardFreesTheCopyAndLaterReadsFailWithAText() throws IOException {
    try (NbdClient backup = discardable()) {
      Images.write(guest, 0, Images.filled(4 * CLUSTER_BYTES, 0xee));
      long entries = server.store().path("entries").asLong();
      assertEquals(4, entries);
      Images.await(backup.trim(0, 3 * CLUSTER_BYTES));
      assertEquals(1, server.store().path("entries").asLong());
      NbdException refusal =
          Images.refused(NbdError.EIO, backup.read(CLUSTER_BYTES, ByteBuffer.allocateDirect(512)));
      assertTrue(String.valueOf(refusal.getMessage()).contains("discard"), refusal::toString);
      assertArrayEquals(
          Arrays.copyOfRange(old, 3 * CLUSTER_BYTES, 5 * CLUSTER_BYTES),
          Images.read(backup, 3 * CLUSTER_BYTES, 2 * CLUSTER_BYTES));
      assertEquals(
          3 * CLUSTER_BYTES, server.snapshotDisk("nightly").path("released-bytes").asLong());
    }
  }

  @Test
  void discardedClusterIsNotPreservedAnyMore() throws IOException {
    try (NbdClient backup = discardable()) {
      Images.await(backup.trim(0, 4 * CLUSTER_BYTES));
      Images.write(guest, 0, Images.filled(5 * CLUSTER_BYTES, 0xee));
      assertEquals(1, server.store().path("entries").asLong());
      NbdException _ = Images.refused(NbdError.EIO, backup.read(0, ByteBuffer.allocateDirect(512)));
    }
  }

  @Test
  void discardsSmallerThanAClusterAddUp() throws IOException {
    try (NbdClient backup = discardable()) {
      Images.write(guest, 0, Images.filled(2 * CLUSTER_BYTES, 0xee));
      for (int i = CLUSTER_BYTES / 4096 - 1; i >= 1; i--) {
        Images.await(backup.trim(CLUSTER_BYTES + i * 4096, 4096));
      }
      assertEquals(2, server.store().path("entries").asLong());
      Images.await(backup.trim(CLUSTER_BYTES, 4096));
      assertEquals(1, server.store().path("entries").asLong());
      NbdException _ =
          Images.refused(NbdError.EIO, backup.read(CLUSTER_BYTES, ByteBuffer.allocateDirect(512)));
    }
  }

  @Test
  void lastShortClusterCanBeDiscarded() throws IOException {
    try (NbdClient backup = discardable()) {
      Images.write(guest, 16 * CLUSTER_BYTES, Images.filled(LAST_CLUSTER_BYTES, 0xee));
      assertEquals(1, server.store().path("entries").asLong());
      Images.await(backup.trim(16 * CLUSTER_BYTES, LAST_CLUSTER_BYTES));
      assertEquals(0, server.store().path("entries").asLong());
      NbdException _ =
          Images.refused(
              NbdError.EIO, backup.read(SIZE_BYTES - 512, ByteBuffer.allocateDirect(512)));
    }
  }

  @Test
  void snapshotRefusesWritesWithEperm() throws IOException {
    try (NbdClient backup = discardable()) {
      NbdException _ =
          Images.refused(
              NbdError.EPERM, backup.write(0, Images.filled(512, 1), Export.Durability.CACHED));
    }
  }

  @Test
  void readOnceGivesEachByteOnceAndFreesItsCopy() throws IOException {
    Command.Result _ = server.run("snapshot", "--name", "nightly", "--read-once").succeeds();
    Images.write(guest, 0, Images.filled(8 * CLUSTER_BYTES, 0xee));
    assertEquals(8, server.store().path("entries").asLong());
    Path copy = directory.resolve("copy.img");
    Command.Result _ =
        Command.run(Peer.NBDCOPY.path(), server.uri("vda@nightly").toString(), copy.toString())
            .succeeds();
    assertArrayEquals(old, Files.readAllBytes(copy));
    assertEquals(0, server.store().path("entries").asLong());
    try (NbdClient backup = server.connect("vda@nightly")) {
      for (long offset : new long[] {0, 9 * CLUSTER_BYTES, SIZE_BYTES - 512}) {
        NbdException _ =
            Images.refused(NbdError.EIO, backup.read(offset, ByteBuffer.allocateDirect(512)));
      }
    }
    Images.write(guest, 0, Images.filled(SIZE_BYTES, 0xdd));
    assertEquals(0, server.store().path("entries").asLong());
  }

  private NbdClient discardable() throws IOException {
    Command.Result _ = server.run("snapshot", "--name", "nightly", "--discard").succeeds();
    return server.connect("vda@nightly");
  }

  private byte[] readAll(String export) throws IOException {
    try (NbdClient client = server.connect(export)) {
      return Images.read(client, 0, SIZE_BYTES);
    }
  }

  private byte[] zeroed(int offsetBytes, int lengthBytes) {
    byte[] expected = old.clone();
    Arrays.fill(expected, offsetBytes, offsetBytes + lengthBytes, (byte) 0);
    return expected;
  }
}
