// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// What happens when old data can no longer be preserved: the place for it is full, or broken.
@Timeout(120)
final class ScratchFullTest {
  private static final int SIZE_BYTES = 32 << 20;
  private static final int BLOCK_BYTES = 64 << 10;

  /// Of 4 MiB each: far more than a server prepares for one client.
  private static final int STALLED_READS = 60;

  @TempDir private Path directory;

  @Test
  void fullScratchBreaksTheSnapshotAndNeverTheGuest() throws Exception {
    byte[] old = disk();
    try (PackagedServer server = small("--scratch-limit", "4M").start();
        NbdClient guest = server.connect("vda");
        NbdClient before = connectAfterSnapshot(server, "nightly")) {
      assertArrayEquals(firstCluster(old), Images.read(before, 0, BLOCK_BYTES));
      overwriteAll(guest);
      assertBroken(server, before);
      assertArrayEquals(bytes(Images.filled(SIZE_BYTES, 0xee)), Images.read(guest, 0, SIZE_BYTES));
      JsonNode disk = server.snapshotDisk("nightly");
      assertTrue(
          disk.path("broken-because").asString().contains("--scratch-limit"), disk::toString);
      assertEquals(0, server.disk().path("write-errors").asInt());
    }
  }

  @Test
  void repliesUnderWayWhenTheSnapshotBreaksHoldOldDataOrAnError() throws Exception {
    byte[] old = disk();
    int pieceBytes = 4 << 20;
    try (PackagedServer server = small("--scratch-limit", "0").start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      try (RawNbdConnection stalled = RawNbdConnection.open(server.socket(), "vda@nightly")) {
        for (int i = 0; i < STALLED_READS; i++) {
          stalled.requestRead(((long) i * pieceBytes) % SIZE_BYTES, pieceBytes);
        }
        ByteBuffer first = stalled.receive(1);
        overwriteAll(guest);
        assertTrue(server.snapshotDisk("nightly").has("broken-because"));
        int whole = wholeReplies(stalled, first, pieceBytes, old);
        assertTrue(whole < STALLED_READS, "all came whole: " + whole);
      }
    }
  }

  /// Reads replies until one is an error or the server hangs up in the middle of one. Those that
  /// come whole must hold old data.
  private static int wholeReplies(
      RawNbdConnection connection, ByteBuffer firstByte, int pieceBytes, byte[] old) {
    int whole = 0;
    try {
      while (whole < STALLED_READS) {
        ByteBuffer header = ByteBuffer.allocate(16);
        if (whole == 0) {
          header.put(firstByte);
        }
        header.put(connection.receive(header.remaining())).flip();
        if (header.getInt(4) != 0) {
          return whole;
        }
        int offset = (int) ((header.getLong(8) - 1) * pieceBytes % SIZE_BYTES);
        assertArrayEquals(
            Arrays.copyOfRange(old, offset, offset + pieceBytes),
            bytes(connection.receive(pieceBytes)));
        whole++;
      }
    } catch (IOException e) {
      assertTrue(String.valueOf(e.getMessage()).contains("closed"), e::toString);
    }
    return whole;
  }

  @Test
  void pullOfABrokenSnapshotEndsWithThree() throws Exception {
    byte[] _ = disk();
    try (PackagedServer server = small("--scratch-limit", "4M").start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      overwriteAll(guest);
      Path copy = directory.resolve("copy.img");
      Command.Result _ =
          server
              .run("pull", server.uri("vda@nightly").toString(), copy.toString())
              .exits(3)
              .says("vda@nightly", "broken");
      assertFalse(Files.exists(copy));
    }
  }

  @Test
  void guestWriteBreaksInsteadWhenThatIsChosen() throws Exception {
    byte[] old = disk();
    try (PackagedServer server =
            small("--scratch-limit", "4M", "--on-cbw-error", "break-guest-write").start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      int failed = 0;
      String text = "";
      for (int offset = 0; offset < SIZE_BYTES; offset += BLOCK_BYTES) {
        try {
          Images.write(guest, offset, Images.filled(BLOCK_BYTES, 0xee));
        } catch (NbdException e) {
          assertEquals(NbdError.EIO, e.error(), e::toString);
          text = String.valueOf(e.getMessage());
          failed++;
        }
      }
      assertTrue(failed > 0, "some writes had to fail");
      assertTrue(text.contains("vda"), text);
      try (NbdClient backup = server.connect("vda@nightly")) {
        assertArrayEquals(old, Images.read(backup, 0, SIZE_BYTES));
      }
      server.release("nightly");
      overwriteAll(guest);
      assertArrayEquals(bytes(Images.filled(SIZE_BYTES, 0xee)), Images.read(guest, 0, SIZE_BYTES));
    }
  }

  @Test
  void scratchIsFreeAgainAfterTheBrokenSnapshotIsReleased() throws Exception {
    byte[] _ = disk();
    try (PackagedServer server = small("--scratch-limit", "4M").start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("one");
      overwriteAll(guest);
      server.release("one");
      JsonNode _ = server.snapshot("two");
      Images.write(guest, 0, Images.filled(1 << 20, 0x11));
      try (NbdClient backup = server.connect("vda@two")) {
        assertArrayEquals(
            bytes(Images.filled(SIZE_BYTES, 0xee)), Images.read(backup, 0, SIZE_BYTES));
      }
    }
  }

  @Test
  void otherSnapshotOfTheSameDiskBreaksToo() throws Exception {
    byte[] _ = disk();
    try (PackagedServer server = small("--scratch-limit", "4M").start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("one");
      JsonNode _ = server.snapshot("two");
      overwriteAll(guest);
      for (String name : new String[] {"one", "two"}) {
        try (NbdClient backup = server.connect("vda@" + name)) {
          NbdException _ =
              Images.refused(NbdError.EIO, backup.read(0, ByteBuffer.allocateDirect(4096)));
        } catch (IOException e) {
          assertTrue(String.valueOf(e.getMessage()).contains("broken"), e::toString);
        }
      }
    }
  }

  @Test
  void fullFileSystemBreaksTheSnapshotAndNeverTheGuest() throws Exception {
    byte[] _ = disk();
    Path scratch = Files.createDirectory(directory.resolve("scratch"));
    try (PackagedServer server =
            small("--scratch", scratch.toString(), "--scratch-limit", "1G")
                .through(PrivateMount.tmpfs(scratch, "4m"))
                .start();
        ControlSocket events = server.control();
        NbdClient guest = server.connect("vda");
        NbdClient before = connectAfterSnapshot(server, "nightly")) {
      overwriteAll(guest);
      assertBroken(server, before);
      JsonNode broken = events.awaitEvent("X_NBDFLEECE_SNAPSHOT_BROKEN");
      assertTrue(broken.path("reason").asString().contains(scratch.toString()), broken::toString);
      assertTrue(server.log().contains("No space left"), server.log());
      assertEquals(0, server.disk().path("write-errors").asInt());
      assertArrayEquals(bytes(Images.filled(SIZE_BYTES, 0xee)), Images.read(guest, 0, SIZE_BYTES));
    }
  }

  @Test
  void failingScratchWritesBreakTheSnapshotThatNeedsThemAndNeverTheGuest() throws Exception {
    byte[] old = disk();
    // No file may grow beyond the disk's size: the scratch file will want to (EFBIG).
    try (PackagedServer server =
            small("--scratch-limit", "1G")
                .through(Peer.PRLIMIT.path(), "--fsize=" + SIZE_BYTES)
                .start();
        NbdClient guest = server.connect("vda");
        NbdClient whole = connectAfterSnapshot(server, "whole")) {
      overwriteAll(guest);
      // All that "whole" needs is preserved by now; what the next one needs does not fit any more.
      try (NbdClient before = connectAfterSnapshot(server, "nightly")) {
        overwriteAll(guest);
        assertBroken(server, before);
      }
      assertArrayEquals(old, Images.read(whole, 0, SIZE_BYTES));
      assertEquals(0, server.disk().path("write-errors").asInt());
      server.release("nightly");
      server.release("whole");
    }
  }

  private byte[] disk() throws IOException {
    return Images.random(directory.resolve("vda.img"), SIZE_BYTES, 1);
  }

  private PackagedServer.Setup small(String... options) {
    return PackagedServer.in(directory)
        .disk("vda", directory.resolve("vda.img"))
        .with("--ram", "1M")
        .with(options);
  }

  private static NbdClient connectAfterSnapshot(PackagedServer server, String name)
      throws IOException {
    JsonNode _ = server.snapshot(name);
    return server.connect("vda@" + name);
  }

  private static void overwriteAll(NbdClient guest) throws IOException {
    ByteBuffer data = Images.filled(BLOCK_BYTES, 0xee);
    for (int offset = 0; offset < SIZE_BYTES; offset += BLOCK_BYTES) {
      Images.write(guest, offset, data);
    }
  }

  /// On the connection that was open before, and on a new one: EIO and a text, never data.
  private static void assertBroken(PackagedServer server, NbdClient before) throws IOException {
    for (long offset : new long[] {0, SIZE_BYTES / 2, SIZE_BYTES - 4096}) {
      NbdException refusal =
          Images.refused(NbdError.EIO, before.read(offset, ByteBuffer.allocateDirect(4096)));
      assertTrue(String.valueOf(refusal.getMessage()).contains("broken"), refusal::toString);
      try (NbdClient after = server.connect("vda@nightly")) {
        NbdException _ =
            Images.refused(NbdError.EIO, after.read(offset, ByteBuffer.allocateDirect(4096)));
      } catch (IOException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("broken"), e::toString);
      }
    }
  }

  private static byte[] firstCluster(byte[] disk) {
    return Arrays.copyOf(disk, BLOCK_BYTES);
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return bytes;
  }
}
