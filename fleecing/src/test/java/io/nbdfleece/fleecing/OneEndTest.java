// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A snapshot ends once and is told to end once, however many want to end it.
@Timeout(60)
final class OneEndTest {
  private static final SnapshotRequest.Lifetime MINUTE =
      new SnapshotRequest.Lifetime(Optional.of(Duration.ofMinutes(1)), Optional.empty());

  @TempDir private Path directory;
  private EngineRig rig;
  private final Queue<EngineEvent> events = new ConcurrentLinkedQueue<>();

  @BeforeEach
  void open() throws IOException {
    rig = new EngineRig(directory, true, "vda");
    var _ = rig.take("full", "c1");
    var _ = rig.engine().release("full", ReleaseOutcome.SUCCESS);
    rig.touch("vda", 3);
    var _ = rig.engine().subscribe(events::add);
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  private void take(Optional<String> checkpoint) throws IOException {
    var _ =
        EngineRig.get(
            rig.engine().snapshot(EngineRig.request("inc", checkpoint, Optional.of("c1"), MINUTE)));
  }

  private List<EngineEvent.SnapshotEnded> ends() {
    return events.stream()
        .filter(EngineEvent.SnapshotEnded.class::isInstance)
        .map(EngineEvent.SnapshotEnded.class::cast)
        .toList();
  }

  private List<String> checkpointsOfTheNextLife() throws IOException {
    rig.restart();
    return rig.engine().checkpoints("vda").stream().map(CheckpointInfo::name).toList();
  }

  /// Runs `ending`, and closes the engine while its commit is under way.
  private void closeDuringTheCommitOf(Runnable ending) throws Exception {
    CountDownLatch committing = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    AtomicBoolean first = new AtomicBoolean(true);
    rig.states.beforeCommit =
        () -> {
          if (first.getAndSet(false)) {
            committing.countDown();
            await(goOn);
          }
        };
    try (ExecutorService threads = Executors.newCachedThreadPool()) {
      Future<?> ended = threads.submit(ending);
      await(committing);
      Future<?> closed =
          threads.submit(
              () -> {
                rig.engine().close();
                return true;
              });
      Awaitility.await().until(this::refusesToRelease);
      assertFalse(closed.isDone());
      goOn.countDown();
      var _ = ended.get(20, TimeUnit.SECONDS);
      var _ = closed.get(20, TimeUnit.SECONDS);
    }
  }

  private boolean refusesToRelease() {
    return EngineRig.message(assertThrows(IOException.class, () -> rig.engine().release("inc")))
        .contains("shutting down");
  }

  private static void await(CountDownLatch latch) {
    try {
      if (!latch.await(20, TimeUnit.SECONDS)) {
        throw new AssertionError("nothing came");
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void releaseUnderWayWhenTheServerStopsKeepsItsOutcome() throws Exception {
    take(Optional.of("c2"));
    closeDuringTheCommitOf(
        () -> {
          try {
            var _ = rig.engine().release("inc", ReleaseOutcome.SUCCESS);
          } catch (IOException e) {
            throw new AssertionError(e);
          }
        });
    assertEquals(
        List.of(new EngineEvent.SnapshotEnded("inc", Optional.of(true), Optional.empty())), ends());
    assertEquals(List.of("c1", "c2"), checkpointsOfTheNextLife());
  }

  @Test
  void endOfItsTimeUnderWayWhenTheServerStopsIsTheOnlyEnd() throws Exception {
    take(Optional.of("c2"));
    closeDuringTheCommitOf(
        () -> {
          rig.nowNanos.addAndGet(Duration.ofMinutes(2).toNanos());
          rig.engine().tickLifetimes();
        });
    assertEquals(
        List.of(
            new EngineEvent.SnapshotEnded(
                "inc", Optional.of(false), Optional.of("its time is up: 60 s"))),
        ends());
    assertEquals(List.of("c1"), checkpointsOfTheNextLife());
    assertEquals(List.of(3), rig.dirty("vda", "c1"));
  }

  @Test
  void endOfItsTimeJustBeforeTheServerStopsIsTheOnlyEnd() throws Exception {
    take(Optional.empty());
    rig.nowNanos.addAndGet(Duration.ofMinutes(2).toNanos());
    rig.engine().tickLifetimes(); // ends it on another thread
    rig.engine().close();
    assertEquals(
        List.of(
            new EngineEvent.SnapshotEnded(
                "inc", Optional.empty(), Optional.of("its time is up: 60 s"))),
        ends());
  }

  @Test
  void stoppingEndsWhatNobodyElseEnds() throws Exception {
    take(Optional.of("c2"));
    rig.engine().close();
    assertEquals(
        List.of(
            new EngineEvent.SnapshotEnded(
                "inc", Optional.of(false), Optional.of("the server stops"))),
        ends());
    assertEquals(List.of("c1"), checkpointsOfTheNextLife());
  }

  /// Who sees a snapshot can release it before the one who took it has been told.
  @Test
  void newsOfTheEndNeverComesBeforeThatOfTheBeginning() throws Exception {
    try (ExecutorService threads = Executors.newCachedThreadPool()) {
      for (int round = 0; round < 100; round++) {
        String name = "s" + round;
        Future<?> releaser =
            threads.submit(
                () -> {
                  Awaitility.await()
                      .pollInSameThread()
                      .pollDelay(Duration.ZERO)
                      .pollInterval(Duration.ofNanos(1))
                      .until(() -> rig.engine().takenSnapshot(name).isPresent());
                  return rig.engine().release(name);
                });
        var _ =
            EngineRig.get(
                rig.engine().snapshot(EngineRig.request(name, Optional.empty(), Optional.empty())));
        var _ = releaser.get(20, TimeUnit.SECONDS);
      }
    }
    Awaitility.await().until(() -> events.size() == 200);
    for (int round = 0; round < 100; round++) {
      EngineEvent.SnapshotCreated created = (EngineEvent.SnapshotCreated) events.remove();
      EngineEvent.SnapshotEnded ended = (EngineEvent.SnapshotEnded) events.remove();
      assertEquals("s" + round, created.snapshot().name());
      assertEquals("s" + round, ended.snapshot());
    }
  }
}
