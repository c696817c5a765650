// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// A random history of three disks whose lists change together, and each on its own, with guest
/// writes in between; not all disks are there after each start. On one thread.
final class JointHistory {
  private static final long SIZE_BYTES = 1L << 20;

  private final Random random;
  private final SimulatedFiles machine;
  private final FakeHost host = new FakeHost();
  private final Deque<Runnable> tasks = new ArrayDeque<>();
  private final List<Served> disks = new ArrayList<>();
  private @Nullable JointCommit joint;
  private int names;

  int crashes;
  int kills;
  int takenOver;
  int undone;
  int late;

  /// A commit of several disks, and what became of it.
  private static final class Together {
    Optional<Boolean> happened = Optional.empty();
  }

  private final class Served {
    final String name;
    final SimulatedFiles files = new SimulatedFiles(machine);
    final GuestDisk disk = new GuestDisk(files, host, SIZE_BYTES);
    @Nullable FileDiskState opened;
    List<TrackedBitmap> committed = List.of();
    List<TrackedBitmap> next = List.of();
    Optional<Together> together = Optional.empty();
    int starts;
    List<TrackedBitmap> tracks = List.of();

    Served(String name) {
      this.name = name;
    }

    FileDiskState state() {
      return Objects.requireNonNull(opened);
    }

    void write() {
      long length = 1L + random.nextInt(64 << 10);
      long offset = random.nextLong(SIZE_BYTES - length);
      List<TrackedBitmap> marked = List.copyOf(tracks);
      marked.forEach(each -> each.bits.orElseThrow().mark(offset, length));
      Runnable issue =
          () -> {
            disk.write(offset, length);
            marked.forEach(each -> each.wrote(offset, length));
          };
      if (marked.isEmpty() || state().marks().covers(offset, length)) {
        issue.run();
      } else {
        state().marks().whenCovered(offset, length, issue);
        runTasks();
      }
    }

    /// A new recording bitmap; what recorded is sealed, what was sealed goes.
    void prepareNext() throws IOException {
      DiskState.LiveContent live = state().create(GuestDisk.UNIT_BYTES);
      // One instant, up to where files are written again.
      Map<TrackedBitmap, GranuleSet> sealed = new LinkedHashMap<>();
      for (TrackedBitmap each : committed) {
        if (each.bits.isPresent()) {
          sealed.put(each.copy(each.record, Optional.empty()), each.bits.get().toSet());
        }
      }
      TrackedBitmap begun =
          new TrackedBitmap(
              record("b" + names++, live.content(), Form.LIVE),
              Optional.of(live.bits()),
              disk.content);
      List<TrackedBitmap> both = new ArrayList<>(tracks);
      both.add(begun);
      tracks = both;
      List<TrackedBitmap> config = new ArrayList<>();
      for (Map.Entry<TrackedBitmap, GranuleSet> each : sealed.entrySet()) {
        TrackedBitmap still = each.getKey();
        still.record = record(still.record.name(), state().seal(each.getValue()), Form.SEALED);
        config.add(still);
      }
      config.add(begun);
      next = config;
    }

    void finish() {
      committed = next;
      tracks = committed.stream().filter(each -> each.bits.isPresent()).toList();
    }

    void open() throws IOException {
      JointCommit commit = Objects.requireNonNull(joint);
      FileDiskState state =
          FileDiskState.open(
              name,
              files,
              disk,
              tasks::add,
              host,
              reason -> {
                throw new AssertionError(reason);
              },
              commit.decided(name));
      commit.settled(name);
      List<BitmapRecord> found = state.found();
      boolean isNew = found.equals(records(next));
      if (!isNew && !found.equals(records(committed))) {
        throw new AssertionError(name + ": neither list: " + state.finding() + found);
      }
      together.ifPresent(each -> agree(each, isNew));
      committed = isNew ? next : committed;
      next = committed;
      together = Optional.empty();
      for (TrackedBitmap each : committed) {
        boolean live = each.bits.isPresent();
        each.bits = live ? Optional.of(state.open(each.record).bits()) : Optional.empty();
        GranuleSet set = live ? each.bits.orElseThrow().toSet() : state.load(each.record);
        each.checkHeldBy(set, disk.content);
      }
      tracks = committed.stream().filter(each -> each.bits.isPresent()).toList();
      opened = state;
    }

    private void agree(Together commit, boolean isNew) {
      if (commit.happened.isPresent() && commit.happened.get() != isNew) {
        throw new AssertionError(
            "a part of the transaction is missing: " + name + " has " + (isNew ? "new" : "old"));
      }
      commit.happened = Optional.of(isNew);
      takenOver += isNew ? 1 : 0;
      undone += isNew ? 0 : 1;
      late += starts > 1 ? 1 : 0;
    }
  }

  JointHistory(long seed, int crashAt) {
    this.random = new Random(seed);
    this.machine = new SimulatedFiles(random);
    machine.crashAt = crashAt;
    machine.interleave = this::meanwhile;
    List.of("vda", "vdb", "vdc").forEach(name -> disks.add(new Served(name)));
  }

  int steps() {
    return machine.steps();
  }

  void run(int actions) throws IOException {
    int left = actions;
    while (left > 0) {
      try {
        if (joint == null) {
          start();
        }
        for (; left > 0; left--) {
          act();
        }
      } catch (SimulatedFiles.PowerFailure e) {
        crashes++;
        afterPowerFailure();
        left = Math.min(left, 12);
      }
    }
    openAll();
  }

  private void act() throws IOException {
    List<Served> open = disks.stream().filter(each -> each.opened != null).toList();
    int dice = random.nextInt(100);
    if (dice < 40 && !open.isEmpty()) {
      open.get(random.nextInt(open.size())).write();
    } else if (dice < 70 && open.size() > 1) {
      changeTogether(open.subList(random.nextInt(open.size() - 1), open.size()));
    } else if (dice < 80 && !open.isEmpty()) {
      Served one = open.get(random.nextInt(open.size()));
      one.prepareNext();
      one.state().commit(records(one.next));
      one.finish();
    } else if (dice < 90 && open.size() < disks.size()) {
      disks.stream().filter(each -> each.opened == null).findFirst().orElseThrow().open();
    } else if (dice < 94) {
      kill();
    } else {
      host.pass(1);
      for (Served each : open) {
        each.state().beat();
        each.state().tick();
      }
    }
  }

  private void changeTogether(List<Served> some) throws IOException {
    Together together = new Together();
    Map<FileDiskState, List<BitmapRecord>> lists = new LinkedHashMap<>();
    for (Served each : some) {
      each.prepareNext();
      lists.put(each.state(), records(each.next));
    }
    // Before, a new list is not thought of; from here on it may be found.
    for (Served each : some) {
      each.together = Optional.of(together);
      each.starts = 0;
    }
    Objects.requireNonNull(joint).commit(lists);
    some.forEach(Served::finish);
    some.forEach(each -> each.together = Optional.empty());
  }

  /// Guests go on while one waits for files.
  private void meanwhile() {
    for (Served each : disks) {
      if (each.opened != null && random.nextInt(4) == 0 && !each.tracks.isEmpty()) {
        int granule = random.nextInt(16);
        long offset = (long) granule * (64 << 10);
        if (each.state().marks().covers(offset, 1)) {
          each.tracks.forEach(bitmap -> bitmap.bits.orElseThrow().mark(offset, 1));
          each.disk.write(offset, 1);
          each.tracks.forEach(bitmap -> bitmap.wrote(offset, 1));
        }
      }
    }
  }

  private void runTasks() {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
  }

  private void kill() throws IOException {
    kills++;
    end(FileDiskState::close);
    start();
  }

  private void end(Consumer<FileDiskState> how) {
    for (Served each : disks) {
      Optional.ofNullable(each.opened).ifPresent(how);
      each.opened = null;
    }
    tasks.clear();
    joint = null;
  }

  private void afterPowerFailure() throws IOException {
    while (true) {
      try {
        end(_ -> {}); // not even closed
        machine.reboot();
        for (Served each : disks) {
          each.files.reboot();
          each.disk.powerFailure(random);
        }
        host.reboot();
        machine.crashAt =
            crashes < 4 && random.nextInt(3) == 0
                ? machine.steps() + 1 + random.nextInt(60)
                : Integer.MAX_VALUE;
        start();
        return;
      } catch (SimulatedFiles.PowerFailure e) {
        crashes++;
      }
    }
  }

  /// With some of the disks.
  private void start() throws IOException {
    disks.forEach(each -> each.starts++);
    joint =
        JointCommit.open(
            machine,
            () -> {
              throw new AssertionError("the record is damaged");
            });
    for (Served each : disks) {
      if (random.nextInt(3) != 0) {
        each.open();
      }
    }
  }

  private void openAll() throws IOException {
    machine.crashAt = Integer.MAX_VALUE;
    for (Served each : disks) {
      if (each.opened == null) {
        each.open();
      }
    }
    if (machine.names().contains(JointCommit.NAME)) {
      throw new AssertionError("the record is still there, although all disks are settled");
    }
  }

  private static BitmapRecord record(String name, String content, Form form) {
    return new BitmapRecord(
        name,
        GuestDisk.UNIT_BYTES,
        content,
        form,
        form == Form.LIVE,
        false,
        false,
        Optional.empty(),
        Instant.EPOCH);
  }

  private static List<BitmapRecord> records(List<TrackedBitmap> config) {
    return config.stream().map(each -> each.record).toList();
  }
}
