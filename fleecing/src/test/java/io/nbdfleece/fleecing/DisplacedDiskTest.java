// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A disk's file is deleted, renamed or replaced while it is served: people are told, and guests go
/// on.
@Timeout(60)
final class DisplacedDiskTest {
  private final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();

  @TempDir Path directory;

  private EngineEvent.DiskDisplaced next() throws InterruptedException {
    return assertInstanceOf(
        EngineEvent.DiskDisplaced.class, events.poll(30, TimeUnit.SECONDS), "the next event");
  }

  @Test
  void itIsToldOnceUntilTheFileIsBack() throws Exception {
    try (EngineRig rig = new EngineRig(directory, false, "vda", "vdb");
        EventSubscription _ = rig.engine().subscribe(events::add)) {
      Path away = directory.resolve("away.img");
      Files.move(rig.file("vda"), away);
      EngineEvent.DiskDisplaced told = next();
      assertEquals("vda", told.disk());
      String reason = told.reason();
      assertTrue(reason.contains("away.img now"), reason);
      assertEquals(Optional.of(reason), rig.disk("vda").displacement());

      rig.touch("vda", 3);
      assertEquals(1, Files.readAllBytes(away)[3 * EngineRig.GRANULE]);
      assertEquals(Optional.empty(), rig.disk("vda").damage());
      Files.move(away, rig.file("vda"));
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> rig.disk("vda").displacement().isEmpty());
      Files.delete(rig.file("vdb"));
      assertEquals("vdb", next().disk());
      assertEquals(List.of(), List.copyOf(events));
    }
  }
}
