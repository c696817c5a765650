// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What a performance gets, whatever happened since its rehearsal.
@Timeout(60)
final class BitmapBenchTest {
  @TempDir private Path directory;

  private static BitmapBench bench(EngineRig rig) {
    return new BitmapBench(rig.disk("vda").tracking(), Instant.EPOCH);
  }

  @Test
  void whatCouldNotBeReadIsNotTriedAgainWhileTheDiskIsDrained() throws IOException {
    try (EngineRig rig = new EngineRig(directory, true, "vda")) {
      var _ = rig.take("s1", "c1");
      var _ = rig.engine().release("s1", ReleaseOutcome.SUCCESS);
      var _ = rig.take("s2", "c2");
      TrackedBitmap sealed = rig.disk("vda").tracking().current().require("c1");
      String file = ((BitmapContent.Sealed) sealed.content()).file();
      Map<String, Object> files = rig.states.stored("vda").files;
      Object content = files.remove(file);
      assertNotNull(content);
      BitmapBench bench = bench(rig);
      IOException rehearsed = assertThrows(IOException.class, () -> bench.read(sealed));
      files.put(file, content);
      bench.perform(Instant.EPOCH);
      assertSame(rehearsed, assertThrows(IOException.class, () -> bench.read(sealed)));
      assertEquals(0, bench(rig).read(sealed).dirtyBytes());
    }
  }

  @Test
  void fileOfAPersistentBitmapIsNotTakenForOneThatIsNotKept() throws IOException {
    try (EngineRig rig = new EngineRig(directory, true, "vda")) {
      BitmapBench bench = bench(rig);
      var _ = bench.fresh(EngineRig.GRANULE, true);
      var _ = bench.fresh(EngineRig.GRANULE, false);
      bench.perform(Instant.EPOCH);
      assertThrows(IllegalStateException.class, () -> bench.fresh(EngineRig.GRANULE, false));
      rig.disk("vda").tracking().loseState();
      assertEquals(
          EngineRig.GRANULE, bench.fresh(EngineRig.GRANULE, false).bits().granularityBytes());
    }
  }
}
