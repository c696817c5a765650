// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DataSyncTest {
  private final ManualExecutor workers = new ManualExecutor();
  private final List<Runnable> duringSync = new ArrayList<>();
  private int syncs;
  private boolean fails;

  private final DataSync sync =
      new DataSync(
          () -> {
            syncs++;
            for (Runnable each : List.copyOf(duringSync)) {
              each.run();
            }
            if (fails) {
              throw new PosixException("fdatasync disk", Errno.EIO);
            }
          },
          workers);

  @Test
  void oneSyncServesAllWhoAskedBeforeItBegan() throws IOException {
    Outcome first = new Outcome();
    Outcome second = new Outcome();
    sync.request(first);
    sync.request(second);
    workers.runAll();
    first.await();
    second.await();
    assertEquals(1, syncs);
  }

  @Test
  void whoAsksDuringASyncIsServedByTheNext() throws IOException {
    Outcome first = new Outcome();
    Outcome late = new Outcome();
    duringSync.add(
        () -> {
          if (syncs == 1) {
            sync.request(late);
          } else {
            assertTrue(first.isDone());
            assertFalse(late.isDone());
          }
        });
    sync.request(first);
    workers.runAll();
    late.await();
    assertEquals(2, syncs);
  }

  @Test
  void failureIsFinal() {
    fails = true;
    Outcome first = new Outcome();
    sync.request(first);
    workers.runAll();
    IOException told = assertThrows(IOException.class, first::await);
    assertTrue(told.toString().contains("data may be lost"), told.toString());
    fails = false;
    Outcome later = new Outcome();
    sync.request(later);
    workers.runAll();
    IOException error = assertThrows(IOException.class, later::await);
    assertTrue(error.toString().contains("EIO"), error.toString());
    assertThrows(IOException.class, sync::check);
    assertEquals(1, syncs);
  }

  @Test
  void whoWaitedBehindAFailedSyncFailsToo() {
    fails = true;
    Outcome late = new Outcome();
    duringSync.add(() -> sync.request(late));
    sync.request(new Outcome());
    workers.runAll();
    assertThrows(IOException.class, late::await);
    assertEquals(1, syncs);
  }
}
