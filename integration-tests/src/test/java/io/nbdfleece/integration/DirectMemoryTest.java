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
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// The JVM may have far less memory for buffers than the limits of clients add up to, as
/// `NBDFLEECE_JAVA_OPTS=-XX:MaxDirectMemorySize=…` can say: requests that have no room fail, or
/// their connection ends, the log says why, nothing hangs, and what was acknowledged is there.
@Timeout(180)
final class DirectMemoryTest {
  private static final int SIZE_BYTES = 64 << 20;
  private static final int BLOCK_BYTES = 64 << 10;
  private static final int HOGS = 12;

  @TempDir private Path directory;

  @Test
  void requestsWithoutMemoryFailAndNothingElseHappens() throws Exception {
    Path image = directory.resolve("vda.img");
    byte[] old = Images.random(image, SIZE_BYTES, 31);
    byte[] model = old.clone();
    List<RawNbdConnection> hogs = new ArrayList<>();
    try (PackagedServer server =
        PackagedServer.in(directory)
            .disk("vda", image)
            .with("--ram", "1M")
            .jvm("-XX:MaxDirectMemorySize=32m")
            .start()) {
      JsonNode _ = server.snapshot("nightly");
      for (int i = 0; i < HOGS; i++) {
        hogs.add(reader(server));
        hogs.add(writer(server));
      }
      List<Integer> unanswered = new ArrayList<>();
      for (int offset = 0; offset < SIZE_BYTES; offset += SIZE_BYTES / 64) {
        if (!write(server, model, offset)) {
          unanswered.add(offset);
        }
      }
      System.out.println("DirectMemoryTest: writes without an answer: " + unanswered.size());
      int refused = readsRefused(server, old);
      System.out.println("DirectMemoryTest: reads of the snapshot refused: " + refused + " of 16");
      assertTrue(server.isAlive());
      for (RawNbdConnection hog : hogs) {
        hog.close();
      }
      Awaitility.await()
          .atMost(Duration.ofSeconds(60))
          .until(
              () ->
                  server.disk().path("clients").asInt() == 0
                      && server.snapshotDisk("nightly").path("clients").asInt() == 0);
      assertTrue(server.log().contains("memory"), server.log());
      settle(server, model, unanswered);
      assertServes(server, model, old);
      assertFalse(server.snapshotDisk("nightly").has("broken-because"));
    }
    assertArrayEquals(model, Files.readAllBytes(image));
  }

  /// A client that wants a lot and takes nothing. Of a frozen view, because what a disk has in the
  /// page cache goes to the socket without a buffer.
  private static RawNbdConnection reader(PackagedServer server) throws IOException {
    RawNbdConnection reader = RawNbdConnection.open(server.socket(), "vda@nightly");
    for (int i = 0; i < 4; i++) {
      reader.requestRead((long) i * (8 << 20), 8 << 20);
    }
    return reader;
  }

  /// A client that begins a large write and goes no further.
  private static RawNbdConnection writer(PackagedServer server) throws IOException {
    RawNbdConnection writer = RawNbdConnection.open(server.socket(), "vda");
    writer.sendPartOfWrite(0, 8 << 20, Images.filled(BLOCK_BYTES, 0xbb));
    return writer;
  }

  /// One write on a connection of its own. Whether it had an answer: what was acknowledged is in
  /// the model then, and what was refused is not.
  private static boolean write(PackagedServer server, byte[] model, int offsetBytes) {
    try (NbdClient guest = server.connect("vda")) {
      Images.write(guest, offsetBytes, Images.filled(BLOCK_BYTES, 0xee));
      Arrays.fill(model, offsetBytes, offsetBytes + BLOCK_BYTES, (byte) 0xee);
      return true;
    } catch (NbdException e) {
      assertEquals(NbdError.EIO, e.error(), e::toString);
      assertTrue(String.valueOf(e.getMessage()).contains("memory"), e::toString);
      return true;
    } catch (IOException e) {
      return false; // the connection has ended
    }
  }

  /// Old data or an error, from RAM, scratch file and disk.
  private static int readsRefused(PackagedServer server, byte[] old) {
    int refused = 0;
    for (int offset = 0; offset < SIZE_BYTES; offset += SIZE_BYTES / 16) {
      try (NbdClient backup = server.connect("vda@nightly")) {
        // Not a whole cluster: read from the scratch file it needs a buffer more.
        assertArrayEquals(
            Arrays.copyOfRange(old, offset, offset + 4096), Images.read(backup, offset, 4096));
      } catch (IOException e) {
        refused++;
      }
    }
    return refused;
  }

  /// A write whose connection ended has happened or not, as a whole.
  private static void settle(PackagedServer server, byte[] model, List<Integer> unanswered)
      throws IOException {
    byte[] written = new byte[BLOCK_BYTES];
    Arrays.fill(written, (byte) 0xee);
    try (NbdClient guest = server.connect("vda")) {
      for (int offset : unanswered) {
        if (Arrays.equals(written, Images.read(guest, offset, BLOCK_BYTES))) {
          System.arraycopy(written, 0, model, offset, BLOCK_BYTES);
        }
      }
    }
  }

  /// As if nothing had been.
  private static void assertServes(PackagedServer server, byte[] model, byte[] old)
      throws IOException {
    for (int offset = 0; offset < SIZE_BYTES; offset += 4 << 20) {
      try (NbdClient guest = server.connect("vda");
          NbdClient backup = server.connect("vda@nightly")) {
        int end = offset + (4 << 20);
        assertArrayEquals(
            Arrays.copyOfRange(model, offset, end), Images.read(guest, offset, 4 << 20));
        assertArrayEquals(
            Arrays.copyOfRange(old, offset, end), Images.read(backup, offset, 4 << 20));
      }
    }
  }
}
