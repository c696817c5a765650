// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// A copy that does not come to an end: the disk holds its read back for as long as a test wants.
/// After `--cbw-timeout` the policy decides.
@Timeout(120)
final class SlowCopyTest {
  /// With clusters of 4 MiB. The kernel lets nobody write to pages that it is reading: it reads the
  /// beginning of the cluster first, and this is far from there.
  private static final long END_OF_CLUSTER = (4 << 20) - 4096;

  @TempDir private Path directory;
  private HeldReads held;
  private FuseDisk disk;

  @BeforeEach
  void mount() throws IOException {
    held = HeldReads.start(directory.resolve("held.sock"), 1000);
    disk = FuseDisk.mount(directory.resolve("vda.img"), held.uri());
  }

  @AfterEach
  void unmount() {
    held.open();
    disk.close();
    held.close();
  }

  @Test
  void copyThatTakesTooLongBreaksTheSnapshotAndNotTheGuest() throws Exception {
    try (PackagedServer server = serve("--cbw-timeout", "1", "--cluster-size", "4M");
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      try {
        Images.write(guest, END_OF_CLUSTER, Images.filled(4096, 0xee));
        JsonNode status = server.snapshotDisk("nightly");
        assertTrue(
            status.path("broken-because").asString().contains("cbw-timeout"), status::toString);
        assertEquals(0, server.disk().path("write-errors").asInt());
      } finally {
        held.open();
      }
    }
  }

  @Test
  void copyThatTakesTooLongFailsTheGuestWhenThatIsChosen() throws Exception {
    try (PackagedServer server =
            serve("--on-cbw-error", "break-guest-write", "--cluster-size", "4M");
        NbdClient guest = server.connect("vda")) {
      Command.Result _ =
          server.run("snapshot", "--name", "nightly", "--cbw-timeout", "1").succeeds();
      try {
        NbdException _ =
            Images.refused(
                NbdError.EIO,
                guest.write(END_OF_CLUSTER, Images.filled(4096, 0xee), Export.Durability.CACHED));
        JsonNode status = server.snapshotDisk("nightly");
        assertFalse(status.has("broken-because"), status::toString);
      } finally {
        held.open();
      }
    }
  }

  private PackagedServer serve(String... options) throws IOException {
    return PackagedServer.in(directory).disk("vda", disk.file()).with(options).start();
  }
}
