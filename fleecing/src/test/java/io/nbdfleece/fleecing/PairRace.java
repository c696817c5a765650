// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/// Two operations that meet again and again on an engine over one small file.
///
/// ```
/// new content ─▶ snapshot "base" ─▶ some clusters preserved ─▶ both at once ─▶ judged
///      ▲                                                                        │
///      └── nothing is left? ◀── released ◀── judged again ◀── overwritten ◀─────┘
/// ```
final class PairRace implements AutoCloseable {
  static final int CLUSTER = 4096;
  static final int CLUSTERS = 32;

  /// The last cluster is short.
  static final int SIZE = CLUSTERS * CLUSTER - 512;

  static final long RAM_BYTES = 24L * CLUSTER;
  static final long SCRATCH_BYTES = 1024L * CLUSTER;
  static final String BASE = "base";

  /// The bitmap that commands change.
  static final String BITMAP = "changed";

  /// One that no command touches during a race.
  static final String KEPT = "kept";

  /// Writes that preserve something before the race.
  private static final int EARLY_WRITES = 14;

  /// The longest head start, as a power of two.
  private static final int HEAD_START_BITS = 13;

  private final RacedOperation first;
  private final RacedOperation second;
  private final EngineRig rig;
  private final boolean keepsState;
  private final AtomicReference<TieredStore> store = new AtomicReference<>();
  private final TwoActors actors = new TwoActors();

  /// The NBD server ends its requests before the engine is closed.
  private final ReentrantReadWriteLock clients = new ReentrantReadWriteLock();

  private volatile Optional<SnapshotView> base = Optional.empty();
  private final Path directory;
  private int overlaps;

  PairRace(Path directory, RacedOperation first, RacedOperation second) throws IOException {
    this.first = first;
    this.second = second;
    this.directory = directory;
    this.keepsState = stops(); // what is kept by a stop is looked at after it
    this.rig =
        new EngineRig(
            directory,
            keepsState,
            SIZE,
            new EngineConfig(
                CLUSTER,
                RAM_BYTES,
                directory,
                SCRATCH_BYTES,
                4,
                Optional.empty(),
                new GuestFirst(100, Duration.ZERO)),
            (config, workers) -> {
              TieredStore opened = TieredStore.open(config, workers);
              store.set(opened);
              return opened;
            },
            "vda");
    var _ = rig.transact(addBitmap(BITMAP), addBitmap(KEPT));
  }

  private TransactionAction addBitmap(String name) {
    return new TransactionAction.AddBitmap(
        new BitmapRef("vda", name), OptionalInt.of(CLUSTER), keepsState, false);
  }

  /// Whether one of the operations is the end of the engine.
  boolean stops() {
    return first == RacedOperation.SHUTDOWN || second == RacedOperation.SHUTDOWN;
  }

  /// In how many rounds both were at it at the same time.
  int overlaps() {
    return overlaps;
  }

  EngineRig rig() {
    return rig;
  }

  TieredStore store() {
    return store.get();
  }

  ReentrantReadWriteLock clients() {
    return clients;
  }

  /// The view of the snapshot that is there before the race.
  SnapshotView base() {
    return base.orElseThrow();
  }

  byte[] onDisk() throws IOException {
    return Files.readAllBytes(rig.file("vda"));
  }

  /// Plays once, and fails with an AssertionError if anything is not as it should be.
  void round(Random random) throws IOException {
    byte[] frozen = new byte[SIZE];
    random.nextBytes(frozen);
    rig.write("vda", 0, frozen);
    prepare(frozen, random);
    byte[] before = onDisk();
    RacedPlay one = new RacedPlay(this, first, 1, random);
    RacedPlay other = new RacedPlay(this, second, 2, random);
    ServedDisk disk = rig.disk("vda");
    int headStart = random.nextInt(1 << random.nextInt(HEAD_START_BITS));
    actors.race(one, other, random.nextBoolean() ? headStart : -headStart);
    overlaps += one.overlapped(other) ? 1 : 0;
    RaceJudge judge = new RaceJudge(this, frozen, before, onDisk(), one, other);
    judge.refusals();
    judge.reads();
    judge.disk();
    if (stops()) {
      RaceLeftovers.requireNone(disk.hook(), store().statistics(), directory);
      rig.restart();
      judge.bitmaps();
    } else {
      judge.sizes();
      goOn(judge, disk, random);
    }
  }

  private void prepare(byte[] frozen, Random random) throws IOException {
    store().spillSooner(random.nextBoolean());
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request(BASE, Optional.empty(), Optional.empty(), "vda")));
    base = Optional.of(rig.view(BASE, "vda"));
    if (random.nextInt(3) == 0) {
      EngineRig.Done done = new EngineRig.Done();
      base().prefetch(0, SIZE, done);
      var _ = EngineRig.get(done.future);
    }
    for (int i = 0; i < EARLY_WRITES; i++) {
      byte[] some = new byte[1 + random.nextInt(CLUSTER)];
      random.nextBytes(some);
      rig.write("vda", random.nextInt(frozen.length - some.length + 1), some);
    }
    var _ =
        rig.transact(
            new TransactionAction.EnableBitmap(new BitmapRef("vda", BITMAP)),
            new TransactionAction.ClearBitmap(new BitmapRef("vda", BITMAP)),
            new TransactionAction.ClearBitmap(new BitmapRef("vda", KEPT)));
    store().spillSooner(false);
  }

  /// After a race that the engine survived.
  private void goOn(RaceJudge judge, ServedDisk disk, Random random) throws IOException {
    rig.engine().resizeStore(OptionalLong.of(RAM_BYTES), OptionalLong.of(SCRATCH_BYTES));
    store().spillSooner(false);
    judge.bitmaps();
    judge.views();
    byte[] other = new byte[SIZE];
    random.nextBytes(other);
    rig.write("vda", 0, other);
    judge.views();
    for (SnapshotStatus snapshot : rig.engine().snapshots()) {
      var _ = rig.engine().release(snapshot.name());
    }
    base = Optional.empty();
    RaceLeftovers.awaitNone(disk.hook(), rig.engine()::storeStatistics);
  }

  List<Integer> dirty(String bitmap) throws IOException {
    return rig.dirty("vda", bitmap);
  }

  @Override
  public void close() throws IOException {
    actors.close();
    rig.close();
  }
}
