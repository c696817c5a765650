// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Clients that stop reading, die or are killed: neither the guest nor other clients notice.
@Timeout(120)
final class BadClientsTest {
  private static final int SIZE_BYTES = 64 << 20;
  private static final int BLOCK_BYTES = 64 << 10;
  private static final int STALLED_READS = 40;

  @TempDir private Path directory;
  private Path image = Path.of("");
  private byte[] old = new byte[0];
  private PackagedServer server;
  private NbdClient guest;

  @BeforeEach
  void start() throws IOException {
    image = directory.resolve("vda.img");
    old = Images.random(image, SIZE_BYTES, 5);
    server = PackagedServer.in(directory).disk("vda", image).with("--ram", "4M").start();
    guest = server.connect("vda");
  }

  @AfterEach
  void stop() {
    guest.close();
    server.close();
  }

  @Test
  void stalledBackupReaderHoldsNoGuestWriteUp() throws Exception {
    JsonNode _ = server.snapshot("nightly");
    try (RawNbdConnection stalled = RawNbdConnection.open(server.socket(), "vda@nightly")) {
      // More than any socket buffer takes; the first byte of the first reply shows that the server
      // is in the middle of it.
      for (int i = 0; i < STALLED_READS; i++) {
        stalled.requestRead(((i % 2) * 32L) << 20, 32 << 20);
      }
      ByteBuffer _ = stalled.receive(1);
      overwriteAll();
      // The reader is still stalled: the writes did not wait for it. What it gets is old data.
      ByteBuffer _ = stalled.receive(15);
      byte[] received = new byte[32 << 20];
      ByteBuffer _ = stalled.receive(32 << 20).get(received);
      boolean first = Arrays.equals(received, Arrays.copyOf(old, 32 << 20));
      assertTrue(
          first || Arrays.equals(received, Arrays.copyOfRange(old, 32 << 20, SIZE_BYTES)),
          "old data");
    }
    assertArrayEquals(old, pull());
  }

  @Test
  void stalledReaderOfTheDiskHoldsNoGuestWriteUp() throws Exception {
    try (RawNbdConnection stalled = RawNbdConnection.open(server.socket(), "vda")) {
      for (int i = 0; i < STALLED_READS; i++) {
        stalled.requestRead(0, 32 << 20);
      }
      ByteBuffer _ = stalled.receive(1);
      overwriteAll();
    }
    assertTrue(server.isAlive());
  }

  @Test
  void writeOfWhichOnlyAPartArrivedChangesNothing() throws Exception {
    try (RawNbdConnection dying = RawNbdConnection.open(server.socket(), "vda")) {
      dying.sendPartOfWrite(0, 1 << 20, Images.filled((1 << 20) - 1, 0xee));
    }
    awaitClients(1);
    assertArrayEquals(Arrays.copyOf(old, 1 << 20), Images.read(guest, 0, 1 << 20));
  }

  @Test
  void guestThatIsGoneInTheMiddleOfItsWritesLeavesTheServerWell() throws Exception {
    JsonNode _ = server.snapshot("nightly");
    List<CompletableFuture<Void>> answers = new ArrayList<>();
    try (NbdClient dying = server.connect("vda")) {
      ByteBuffer data = Images.filled(BLOCK_BYTES, 0xee);
      for (int i = 0; i < 500; i++) {
        answers.add(dying.write((long) i * BLOCK_BYTES, data, Export.Durability.CACHED));
      }
      dying.abort();
    }
    awaitClients(1);
    assertArrayEquals(old, pull());
    overwriteAll();
    assertEquals(500, answers.size());
  }

  @Test
  void killedBackupClientLeavesSnapshotAndGuestWell() throws Exception {
    JsonNode _ = server.snapshot("nightly");
    // It copies to a pipe that nobody reads, so it is in the middle when it is killed.
    Process nbdcopy =
        new ProcessBuilder(Peer.NBDCOPY.path(), server.uri("vda@nightly").toString(), "-").start();
    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .until(() -> server.snapshotDisk("nightly").path("clients").asInt() > 0);
    overwriteAll();
    nbdcopy.destroyForcibly();
    int _ = Command.await(nbdcopy, List.of("nbdcopy"));
    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .until(() -> server.snapshotDisk("nightly").path("clients").asInt() == 0);
    assertArrayEquals(old, pull());
  }

  @Test
  void releaseWhileAClientReadsFailsItsReadsAndFreesTheCopies() throws Exception {
    JsonNode _ = server.snapshot("nightly");
    overwriteAll();
    try (NbdClient backup = server.connect("vda@nightly")) {
      assertArrayEquals(Arrays.copyOf(old, 4096), Images.read(backup, 0, 4096));
      server.release("nightly");
      IOException refusal = assertThrows(IOException.class, () -> Images.read(backup, 0, 4096));
      assertTrue(
          !(refusal instanceof NbdException nbd)
              || nbd.error() == NbdError.EIO
              || nbd.error() == NbdError.ESHUTDOWN,
          refusal::toString);
    }
    assertEquals(0, server.store().path("entries").asLong());
  }

  private void overwriteAll() throws IOException {
    ByteBuffer data = Images.filled(BLOCK_BYTES, 0xee);
    for (int offset = 0; offset < SIZE_BYTES; offset += BLOCK_BYTES) {
      Images.write(guest, offset, data);
    }
  }

  private byte[] pull() throws IOException {
    Path copy = directory.resolve("copy.img");
    Command.Result _ =
        Command.run(Peer.NBDCOPY.path(), server.uri("vda@nightly").toString(), copy.toString())
            .succeeds();
    return Files.readAllBytes(copy);
  }

  private void awaitClients(int count) {
    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .until(() -> server.disk().path("clients").asInt() == count);
  }
}
