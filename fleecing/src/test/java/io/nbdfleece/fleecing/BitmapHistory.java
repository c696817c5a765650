// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Queue;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.awaitility.Awaitility;

/// One random life of a disk with bitmaps, checkpoints, snapshots, restarts and kills, checked
/// against sets and byte arrays.
///
/// Plain bitmaps are compared with a set of granules each, exactly. Checkpoints are compared by
/// what they are for: a backup that takes only the dirty granules of the frozen view, on top of the
/// backup that it is since, must be the frozen view; also when guests write while it is taken.
final class BitmapHistory {
  private static final String DISK = "vda";
  private static final int ROUNDS = 20;

  private final Random random;
  private final EngineRig rig;
  private final Map<String, Model> bitmaps = new HashMap<>();

  /// What a successful backup copied, by the name of its checkpoint; and of each snapshot not yet
  /// released.
  private final Map<String, byte[]> backups = new HashMap<>();

  private final Map<String, Pending> pending = new HashMap<>();
  private final CrashImages images;

  /// What the guest wrote in the middle of commits.
  private final Queue<Written> duringCommits = new ConcurrentLinkedQueue<>();

  private volatile boolean serving;
  private int names;
  int incrementals;
  int kills;

  /// A bitmap.
  private static final class Model {
    final int granularityBytes;
    final boolean persistent;
    boolean enabled;
    TreeSet<Integer> dirty = new TreeSet<>();

    Model(int granularityBytes, boolean persistent, boolean enabled) {
      this.granularityBytes = granularityBytes;
      this.persistent = persistent;
      this.enabled = enabled;
    }

    void mark(long offsetBytes, long lengthBytes) {
      for (long g = offsetBytes / granularityBytes;
          g <= (offsetBytes + lengthBytes - 1) / granularityBytes;
          g++) {
        dirty.add((int) g);
      }
    }
  }

  /// A backup of a snapshot that is not released yet.
  private static final class Pending {
    final String checkpoint;
    final byte[] copied;

    Pending(String checkpoint, byte[] copied) {
      this.checkpoint = checkpoint;
      this.copied = copied;
    }
  }

  BitmapHistory(long seed, Path directory) throws IOException {
    random = new Random(seed);
    rig = new EngineRig(directory, true, DISK);
    images = new CrashImages(new Random(seed), rig.file(DISK));
    Random choice = new Random(seed + 1);
    rig.states.onlooker =
        new MemoryStates.Onlooker() {
          @Override
          public void step(MemoryStates.Stored stored) {
            if (serving) {
              duringCommits.addAll(guest(choice, choice.nextInt(3)));
            }
            images.look(stored);
          }

          @Override
          public void synced() {
            images.synced();
          }
        };
  }

  /// How many moments were looked at in which the server could have ended.
  int moments() {
    return images.looks();
  }

  void run() throws IOException {
    try (rig) {
      for (int round = 0; round < ROUNDS; round++) {
        step();
        mark(duringCommits);
        duringCommits.clear();
        images.look(rig.states.stored(DISK));
        images.check();
        check();
      }
    }
  }

  private void step() throws IOException {
    switch (random.nextInt(20)) {
      case 0, 1 -> write(() -> {});
      case 2, 3, 4 -> serve(this::command);
      case 5, 6, 7, 8, 9, 10 -> write(this::snapshot);
      case 11, 12, 13, 14, 15, 16 -> write(this::release);
      case 17 -> write(this::deleteCheckpoint);
      case 18 -> {
        rig.restart();
        forget();
      }
      default -> {
        kills++;
        rig.killAndRestart();
        forget();
      }
    }
  }

  /// What a restart takes along.
  private void forget() {
    pending.clear();
    bitmaps.values().removeIf(model -> !model.persistent);
  }

  private interface Meanwhile {
    void run() throws IOException;
  }

  private record Written(long offsetBytes, long lengthBytes) {}

  /// Two guests write, trim and zero, while something else happens.
  private void write(Meanwhile meanwhile) throws IOException {
    List<CompletableFuture<List<Written>>> guests = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      long seed = random.nextLong();
      int count = random.nextInt(8);
      guests.add(CompletableFuture.supplyAsync(() -> guest(new Random(seed), count)));
    }
    try {
      serve(meanwhile);
    } finally {
      for (CompletableFuture<List<Written>> guest : guests) {
        mark(EngineRig.get(guest));
      }
    }
  }

  /// Has the guest write in the middle of commits, too.
  private void serve(Meanwhile meanwhile) throws IOException {
    serving = true;
    try {
      meanwhile.run();
    } finally {
      serving = false;
    }
  }

  private void mark(Collection<Written> all) {
    for (Written written : all) {
      bitmaps.values().stream()
          .filter(model -> model.enabled)
          .forEach(model -> model.mark(written.offsetBytes(), written.lengthBytes()));
    }
  }

  private List<Written> guest(Random choice, int count) {
    List<Written> all = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      long offset = choice.nextInt(EngineRig.SIZE);
      int most = choice.nextInt(4) == 0 ? 200_000 : 3000;
      int length = (int) Math.min(1 + choice.nextInt(most), EngineRig.SIZE - offset);
      all.add(new Written(offset, length));
      try {
        rig.apply(DISK, mutation(choice, offset, length));
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }
    return all;
  }

  private static Mutation mutation(Random choice, long offset, int length) {
    return switch (choice.nextInt(4)) {
      case 0 -> new Mutation.Discard(offset, length, Mutation.Durability.CACHED);
      case 1 ->
          new Mutation.Zero(offset, length, Mutation.Provisioning.KEEP, Mutation.Durability.CACHED);
      default -> {
        byte[] data = new byte[length];
        choice.nextBytes(data);
        ByteBuffer buffer = ByteBuffer.allocateDirect(length).put(data).flip();
        yield new Mutation.Write(offset, buffer, Mutation.Durability.CACHED);
      }
    };
  }

  private void command() throws IOException {
    List<TransactionAction> actions = new ArrayList<>();
    Map<String, Model> after = new HashMap<>();
    bitmaps.forEach((name, model) -> after.put(name, copy(model)));
    int count = 1 + random.nextInt(4);
    for (int i = 0; i < count; i++) {
      actions.add(action(after));
    }
    if (random.nextInt(4) == 0) {
      actions.add(new TransactionAction.Abort());
      try {
        var _ = EngineRig.get(rig.engine().transact(actions));
        throw new AssertionError("not aborted");
      } catch (IOException e) {
        assertEquals("Transaction aborted using Abort action", EngineRig.message(e));
      }
    } else {
      var _ = EngineRig.get(rig.engine().transact(actions));
      bitmaps.clear();
      bitmaps.putAll(after);
    }
  }

  private static Model copy(Model model) {
    Model copy = new Model(model.granularityBytes, model.persistent, model.enabled);
    copy.dirty.addAll(model.dirty);
    return copy;
  }

  private static BitmapRef ref(String name) {
    return new BitmapRef(DISK, name);
  }

  private TransactionAction action(Map<String, Model> after) {
    if (after.size() < 2 || random.nextInt(5) == 0) {
      Model added =
          new Model(512 << random.nextInt(9), random.nextBoolean(), random.nextInt(4) > 0);
      String name = "b" + names++;
      after.put(name, added);
      return new TransactionAction.AddBitmap(
          ref(name), OptionalInt.of(added.granularityBytes), added.persistent, !added.enabled);
    }
    List<String> all = after.keySet().stream().sorted().toList();
    String name = all.get(random.nextInt(all.size()));
    Model model = after.getOrDefault(name, new Model(512, false, false));
    return switch (random.nextInt(6)) {
      case 0 -> {
        after.remove(name);
        yield new TransactionAction.RemoveBitmap(ref(name));
      }
      case 1 -> {
        model.dirty.clear();
        yield new TransactionAction.ClearBitmap(ref(name));
      }
      case 2 -> {
        model.enabled = true;
        yield new TransactionAction.EnableBitmap(ref(name));
      }
      case 3 -> {
        model.enabled = false;
        yield new TransactionAction.DisableBitmap(ref(name));
      }
      case 4 -> {
        long offset = random.nextInt(EngineRig.SIZE - 5000);
        model.mark(offset, 5000);
        yield new TransactionAction.MarkDirty(
            ref(name), List.of(new TransactionAction.Range(offset, 5000)));
      }
      default -> {
        String from = all.get(random.nextInt(all.size()));
        Model source = after.getOrDefault(from, model);
        for (int granule : List.copyOf(source.dirty)) {
          model.mark((long) granule * source.granularityBytes, source.granularityBytes);
        }
        yield new TransactionAction.MergeBitmaps(ref(name), List.of(ref(from)));
      }
    };
  }

  private void snapshot() throws IOException {
    List<CheckpointInfo> chain =
        rig.engine().checkpoints(DISK).stream()
            .filter(checkpoint -> checkpoint.pendingSnapshot().isEmpty())
            .toList();
    Optional<String> since =
        chain.isEmpty() || random.nextInt(5) == 0
            ? Optional.empty()
            : Optional.of(chain.get(random.nextInt(chain.size())).name());
    String name = "s" + names++;
    String checkpoint = "c" + names++;
    SnapshotRequest.Lifetime hour =
        new SnapshotRequest.Lifetime(Optional.of(Duration.ofHours(1)), Optional.empty());
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request(name, Optional.of(checkpoint), since, hour, DISK)));
    byte[] frozen = EngineRig.read(rig.view(name, DISK), 0, EngineRig.SIZE);
    byte[] copied = frozen.clone();
    if (since.isPresent()) {
      incrementals++;
      copied = Optional.ofNullable(backups.get(since.get())).orElseThrow().clone();
      copyDirty(rig.exported(name, DISK), frozen, copied);
    }
    assertArrayEquals(frozen, copied, "incremental on top of its base, since " + since);
    images.copied(checkpoint, copied);
    pending.put(name, new Pending(checkpoint, copied));
  }

  private static void copyDirty(GranuleSet dirty, byte[] from, byte[] to) {
    for (int granule : EngineRig.granules(dirty)) {
      int start = granule * dirty.granularityBytes();
      int length = Math.min(dirty.granularityBytes(), from.length - start);
      System.arraycopy(from, start, to, start, length);
    }
  }

  private void release() throws IOException {
    if (pending.isEmpty()) {
      return;
    }
    List<String> all = pending.keySet().stream().sorted().toList();
    String name = all.get(random.nextInt(all.size()));
    switch (random.nextInt(8)) {
      case 0, 1, 2, 3, 4 -> {
        var _ = rig.engine().release(name, ReleaseOutcome.SUCCESS);
        Pending done = Optional.ofNullable(pending.remove(name)).orElseThrow();
        backups.put(done.checkpoint, done.copied);
      }
      case 5, 6 -> {
        var _ = rig.engine().release(name, ReleaseOutcome.FAILED);
        pending.remove(name);
      }
      default -> {
        rig.nowNanos.addAndGet(Duration.ofHours(1).toNanos());
        rig.engine().tickLifetimes();
        pending.clear();
        Awaitility.await()
            .pollInterval(Duration.ofMillis(1))
            .until(() -> rig.engine().snapshots().isEmpty());
      }
    }
  }

  private void deleteCheckpoint() throws IOException {
    List<CheckpointInfo> chain =
        rig.engine().checkpoints(DISK).stream()
            .filter(checkpoint -> checkpoint.pendingSnapshot().isEmpty())
            .toList();
    if (!chain.isEmpty()) {
      String name = chain.get(random.nextInt(chain.size())).name();
      var _ = rig.transact(new TransactionAction.DeleteCheckpoint(DISK, name));
      backups.remove(name);
    }
  }

  private void check() throws IOException {
    for (BitmapInfo info : rig.engine().bitmaps(DISK)) {
      if (!info.checkpoint()) {
        Model model = Optional.ofNullable(bitmaps.get(info.name())).orElseThrow();
        assertEquals(
            List.copyOf(model.dirty), rig.dirty(DISK, info.name()), "bitmap " + info.name());
        assertEquals(model.enabled, info.recording());
        assertEquals(model.persistent, info.persistent());
      }
    }
    byte[] now = Files.readAllBytes(rig.file(DISK));
    int recording = 0;
    for (CheckpointInfo checkpoint : rig.engine().checkpoints(DISK)) {
      recording += rig.info(DISK, checkpoint.name()).recording() ? 1 : 0;
      byte[] base = backups.get(checkpoint.name());
      assertEquals(base == null, checkpoint.pendingSnapshot().isPresent(), checkpoint.name());
      if (base != null) {
        byte[] restored = base.clone();
        copyDirty(rig.engine().dirtySince(DISK, checkpoint.name()), now, restored);
        assertTrue(Arrays.equals(now, restored), "since " + checkpoint.name());
      }
    }
    assertTrue(recording <= 1, "one stretch records");
    assertEquals(
        rig.engine().checkpoints(DISK).isEmpty(), recording == 0, "the last stretch records");
  }
}
