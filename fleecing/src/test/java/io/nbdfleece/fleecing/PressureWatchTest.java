// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.StoreConfig;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.cache.posix.IoWorkers;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What is told of a store of 100 clusters in RAM while it fills up and empties.
@Timeout(60)
final class PressureWatchTest {
  private static final int CLUSTER = 4096;

  private final IoWorkers workers = new IoWorkers("test-io", 1);
  private final EventHub hub = new EventHub(Runnable::run);
  private final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();
  private final List<Integer> entries = new ArrayList<>();
  private TieredStore store = never();
  private PressureWatch watch = new PressureWatch(store, hub);

  @TempDir Path directory = Path.of("");

  @SuppressWarnings("NullAway") // JUnit fills it before each test.
  private static TieredStore never() {
    return null;
  }

  @BeforeEach
  void open() throws IOException {
    store = TieredStore.open(new StoreConfig(CLUSTER, 100 * CLUSTER, directory, 0), workers);
    watch = new PressureWatch(store, hub);
    var _ = hub.subscribe(events::add);
  }

  @AfterEach
  void close() throws IOException {
    store.close();
    workers.close();
  }

  private void fillTo(int count) {
    while (entries.size() < count) {
      store.acquire(
          1,
          new ClusterStore.SlotCompletion() {
            @Override
            public void acquired(List<ClusterStore.RamSlot> slots) {
              entries.add(store.commit(slots.getFirst()));
            }

            @Override
            public void failed(IOException error) {
              throw new AssertionError(error);
            }
          });
    }
    while (entries.size() > count) {
      store.release(new int[] {entries.removeLast()}, 1);
    }
    watch.look(List.of());
  }

  private void assertTold(int percent, int used) throws InterruptedException {
    assertEquals(
        new EngineEvent.StoreFilling(percent, (long) used * CLUSTER, 100L * CLUSTER),
        events.poll(10, TimeUnit.SECONDS));
  }

  @Test
  void eachMarkIsToldOnceWhenItIsPassedAndAgainOnlyAfterItWasWellBelow() throws Exception {
    fillTo(69);
    fillTo(70);
    assertTold(70, 70);
    fillTo(66);
    fillTo(79);
    fillTo(80);
    assertTold(80, 80);
    fillTo(76);
    fillTo(81);
    fillTo(74);
    fillTo(81);
    assertTold(80, 81);
    fillTo(100);
    assertTold(90, 100);
    assertTold(95, 100);
    fillTo(0);
    fillTo(85);
    assertTold(70, 85);
    assertTold(80, 85);
    assertNull(events.poll());
  }

  @Test
  void moreRoomIsWellBelow() throws Exception {
    fillTo(72);
    assertTold(70, 72);
    store.resize(200 * CLUSTER, 0);
    fillTo(100);
    fillTo(141);
    EngineEvent told = events.poll(10, TimeUnit.SECONDS);
    assertTrue(told instanceof EngineEvent.StoreFilling filling && filling.percent() == 70);
  }
}
