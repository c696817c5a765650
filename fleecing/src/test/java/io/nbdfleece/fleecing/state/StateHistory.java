// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// A random history of one disk: guest writes, commands on bitmaps, ticks, ends of every kind. On
/// one thread, but at each step of an operation on files others do something.
final class StateHistory {
  private static final long SIZE_BYTES = (40L << 20) + 3 * GuestDisk.UNIT_BYTES + 512;
  private static final int BITMAPS_MAX = 5;

  private final Random random;
  private final SimulatedFiles files;
  private final FakeHost host = new FakeHost();
  private final GuestDisk disk;
  private final Deque<Runnable> tasks = new ArrayDeque<>();
  private final List<GuestWrite> guest = new ArrayList<>();
  private boolean draining;
  private boolean interleaving;
  private int names;
  private long sequentialAt;
  private @Nullable FileDiskState opened;

  /// What the list names, by its last successful commit.
  private List<TrackedBitmap> committed = List.of();

  /// What a commit under way would make of it; else the same.
  private List<TrackedBitmap> next = List.of();

  /// What guest writes mark.
  private List<TrackedBitmap> tracks = List.of();

  int crashes;
  int cleanEnds;
  int kills;
  int covered;
  int waited;
  long regionsMax;
  private boolean ready;

  StateHistory(long seed, int crashAt) throws IOException {
    this.random = new Random(seed);
    this.files = new SimulatedFiles(random);
    this.disk = new GuestDisk(files, host, SIZE_BYTES);
    files.interleave = this::meanwhile;
    files.crashAt = crashAt;
  }

  private FileDiskState state() {
    return Objects.requireNonNull(opened);
  }

  int steps() {
    return files.steps();
  }

  void run(int actions) throws IOException {
    int left = actions;
    while (left > 0) {
      try {
        if (!ready) {
          reopen(false);
        }
        while (left > 0) {
          left--;
          act();
        }
      } catch (SimulatedFiles.PowerFailure e) {
        crashes++;
        afterPowerFailure();
        left = Math.min(left, 25);
      }
    }
    drainQuietly();
  }

  private void drainQuietly() throws IOException {
    try {
      drain();
      draining = false;
    } catch (SimulatedFiles.PowerFailure e) {
      crashes++;
      afterPowerFailure();
    }
  }

  private void act() throws IOException {
    int dice = random.nextInt(100);
    if (dice < 55) {
      guestStep();
    } else if (dice < 65) {
      runTask();
    } else if (dice < 72) {
      host.pass(1);
      state().beat();
      state().tick();
    } else if (dice < 75) {
      host.pass(75);
      state().beat();
      state().tick();
    } else if (dice < 80) {
      add();
    } else if (dice < 84) {
      replace();
    } else if (dice < 87) {
      seal();
    } else if (dice < 90) {
      merge();
    } else if (dice < 92) {
      remove();
    } else if (dice < 95) {
      endClean();
    } else if (dice < 97) {
      kill();
    } else {
      guestStep();
    }
  }

  /// What other threads do while one is in an operation on files.
  private void meanwhile() {
    if (interleaving || !ready) {
      return;
    }
    interleaving = true;
    try {
      while (random.nextInt(3) == 0) {
        guestStep();
      }
      if (random.nextInt(8) == 0) {
        host.pass(1);
        state().beat();
      }
    } finally {
      interleaving = false;
    }
  }

  private void runTask() {
    Runnable task = tasks.poll();
    if (task != null) {
      task.run();
    }
  }

  // ---- the guest ----

  private final class GuestWrite {
    final long offset;
    final long length;
    final List<TrackedBitmap> marked = List.copyOf(tracks);
    boolean asked;

    GuestWrite(long offset, long length) {
      this.offset = offset;
      this.length = length;
      marked.forEach(each -> each.bits.orElseThrow().mark(offset, length));
    }

    void advance() {
      asked = true;
      if (marked.isEmpty() || state().marks().covers(offset, length)) {
        covered++;
        issue();
      } else {
        waited++;
        state().marks().whenCovered(offset, length, this::issue);
      }
    }

    void issue() {
      disk.write(offset, length);
      marked.forEach(each -> each.wrote(offset, length));
      guest.remove(this);
    }
  }

  private void guestStep() {
    List<GuestWrite> marked = guest.stream().filter(each -> !each.asked).toList();
    if (!marked.isEmpty() && (draining || random.nextBoolean())) {
      marked.get(random.nextInt(marked.size())).advance();
    } else if (!draining && guest.size() < 4) {
      boolean sequential = random.nextInt(3) == 0;
      long length = 1L + random.nextInt(sequential ? 2 << 20 : 64 << 10);
      long offset = sequential ? sequentialAt : (long) (random.nextDouble() * SIZE_BYTES);
      offset = Math.min(offset, SIZE_BYTES - length);
      sequentialAt = offset + length >= SIZE_BYTES ? 0 : offset + length;
      guest.add(new GuestWrite(offset, length));
    }
  }

  /// Closes the gate; the caller opens it again.
  private void drain() {
    draining = true;
    while (!guest.isEmpty()) {
      guestStep();
      runTask();
    }
  }

  // ---- commands ----

  private BitmapRecord record(String name, int granularity, String content, Form form) {
    return new BitmapRecord(
        name,
        granularity,
        content,
        form,
        form == Form.LIVE,
        false,
        random.nextBoolean(),
        Optional.empty(),
        Instant.ofEpochSecond(names, 7));
  }

  private int granularity() {
    return random.nextBoolean() ? GuestDisk.UNIT_BYTES : 64 << 10;
  }

  private void add() throws IOException {
    if (committed.size() >= BITMAPS_MAX) {
      return;
    }
    int granularity = granularity();
    DiskState.LiveContent live = state().create(granularity);
    if (random.nextInt(8) == 0) {
      state().discard(List.of(live.content()));
      return;
    }
    drain();
    List<TrackedBitmap> config = new ArrayList<>(committed);
    config.add(live("b" + names++, granularity, live, disk.content));
    install(config);
  }

  private TrackedBitmap live(
      String name, int granularity, DiskState.LiveContent content, int[] baseline) {
    return new TrackedBitmap(
        record(name, granularity, content.content(), Form.LIVE),
        Optional.of(content.bits()),
        baseline);
  }

  /// Of a clear, and of a checkpoint.
  private void replace() throws IOException {
    List<TrackedBitmap> config = new ArrayList<>(committed);
    if (config.isEmpty()) {
      return;
    }
    int at = random.nextInt(config.size());
    BitmapRecord old = config.get(at).record;
    DiskState.LiveContent live = state().create(old.granularityBytes());
    drain();
    config.set(at, live(old.name(), old.granularityBytes(), live, disk.content));
    install(config);
  }

  private void seal() throws IOException {
    List<TrackedBitmap> config = new ArrayList<>(committed);
    for (int at = 0; at < config.size(); at++) {
      TrackedBitmap each = config.get(at);
      if (each.bits.isPresent()) {
        drain();
        GranuleSet set = each.bits.get().toSet();
        TrackedBitmap sealed = each.copy(each.record, Optional.empty());
        draining = false;
        String content = state().seal(set);
        sealed.record =
            record(each.record.name(), each.record.granularityBytes(), content, Form.SEALED);
        config.set(at, sealed);
        install(config);
        return;
      }
    }
  }

  private void merge() throws IOException {
    List<TrackedBitmap> config = new ArrayList<>(committed);
    if (config.size() < 2) {
      return;
    }
    TrackedBitmap source = config.get(random.nextInt(config.size()));
    int at = random.nextInt(config.size());
    TrackedBitmap target = config.get(at);
    int granularity = target.record.granularityBytes();
    DiskState.LiveContent live = state().create(granularity);
    drain();
    TrackedBitmap merged = live(target.record.name(), granularity, live, disk.content);
    for (TrackedBitmap each : List.of(source, target)) {
      merged.must.or(each.must);
      BitArray bits = live.bits();
      bits.markAll(each.bits.isPresent() ? each.bits.get().toSet() : state().load(each.record));
    }
    config.set(at, merged);
    install(config);
  }

  private void remove() throws IOException {
    if (!committed.isEmpty()) {
      List<TrackedBitmap> config = new ArrayList<>(committed);
      config.remove(random.nextInt(config.size()));
      drain();
      install(config);
    }
  }

  private static List<BitmapRecord> records(List<TrackedBitmap> config) {
    return config.stream().map(each -> each.record).toList();
  }

  /// At the end of a drain: marks go to both, until the commit is through.
  private void install(List<TrackedBitmap> config) throws IOException {
    next = config;
    List<TrackedBitmap> both = new ArrayList<>(tracks);
    config.stream()
        .filter(each -> each.bits.isPresent() && !both.contains(each))
        .forEach(both::add);
    tracks = both;
    draining = false;
    state().commit(records(config));
    tracks = config.stream().filter(each -> each.bits.isPresent()).toList();
    committed = config;
  }

  // ---- ends ----

  private void endClean() throws IOException {
    drain();
    List<GranuleSet> before = sets();
    state().closeClean(records(committed));
    tasks.clear();
    cleanEnds++;
    ready = false;
    draining = false;
    if (random.nextBoolean()) {
      host.reboot();
    }
    reopen(true);
    checkExact(before);
  }

  private void kill() throws IOException {
    List<GranuleSet> before = sets();
    regionsMax = Math.max(regionsMax, state().marks().activeCount());
    state().close();
    tasks.clear();
    guest.clear();
    kills++;
    ready = false;
    host.pass(random.nextInt(100));
    reopen(true);
    checkExact(before);
  }

  /// At one moment: nobody writes meanwhile.
  private List<GranuleSet> sets() throws IOException {
    interleaving = true;
    List<GranuleSet> sets = new ArrayList<>();
    for (TrackedBitmap each : committed) {
      sets.add(each.bits.isPresent() ? each.bits.get().toSet() : state().load(each.record));
    }
    interleaving = false;
    return sets;
  }

  private void checkExact(List<GranuleSet> before) throws IOException {
    List<GranuleSet> after = sets();
    for (int i = 0; i < before.size(); i++) {
      if (!before.get(i).granules().equals(after.get(i).granules())) {
        throw new AssertionError(committed.get(i).record.name() + " is not what it was");
      }
    }
    if (!state().finding().isEmpty()) {
      throw new AssertionError(state().finding());
    }
  }

  private void afterPowerFailure() throws IOException {
    while (true) {
      try {
        ready = false;
        files.reboot();
        disk.powerFailure(random);
        host.reboot();
        tasks.clear();
        guest.clear();
        draining = false;
        interleaving = false;
        files.crashAt =
            crashes < 4 && random.nextInt(3) == 0
                ? files.steps() + 1 + random.nextInt(30)
                : Integer.MAX_VALUE;
        reopen(true);
        return;
      } catch (SimulatedFiles.PowerFailure e) {
        crashes++;
      }
    }
  }

  private void reopen(boolean check) throws IOException {
    FileDiskState state =
        FileDiskState.open(
            "vda",
            files,
            disk,
            tasks::add,
            host,
            reason -> {
              throw new AssertionError(reason);
            },
            OptionalLong.empty());
    opened = state;
    List<BitmapRecord> found = state.found();
    if (found.equals(records(next))) {
      committed = next;
    } else if (!found.equals(records(committed))) {
      throw new AssertionError("neither the old list nor the new one: " + state.finding() + found);
    }
    next = committed;
    for (TrackedBitmap each : committed) {
      each.bits =
          each.bits.isPresent() ? Optional.of(state.open(each.record).bits()) : Optional.empty();
      if (check) {
        each.checkHeldBy(
            each.bits.isPresent() ? each.bits.get().toSet() : state.load(each.record),
            disk.content);
      }
    }
    tracks = committed.stream().filter(each -> each.bits.isPresent()).toList();
    ready = true;
  }
}
