// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.hook.HookLeftovers;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.fleecing.hook.SimulationCase;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

/// One seeded run of a server: guests, backup clients and operators, whose commands overlap, at an
/// engine that is closed, killed and cut off from power, and opened again, on one thread.
///
/// Whatever happens: a snapshot shows all its disks as they were at one instant, or gives an error;
/// a bitmap has each sector that differs from what it is since, also after the server has ended in
/// whatever way; a transaction that fails changes nothing, and one that was cut off has happened as
/// a whole or not at all; each command comes to an end; and in the end nothing is held any more.
final class EngineSimulation {
  static final int OPERATIONS = 100;

  private static final int STEPS_PER_OPERATION_MAX = 30;
  private static final long TURNS_MAX = 3_000_000;

  private final SimulationCase which;
  private final SimulatedWorld world;
  private final List<Throwable> wrongs = new ArrayList<>();
  private final SimulatedMachine machine;
  final EngineOperator operator;
  private final Map<String, EngineGuest> guests = new LinkedHashMap<>();

  /// Guests of disks that are being removed.
  private final List<EngineGuest> leaving = new ArrayList<>();

  /// A disk was removed and has come again.
  private boolean cameAgain;

  /// Bitmaps that a failing state directory made inconsistent: one that is kept, and could not be
  /// read once, can be read by the next server.
  private final Set<String> doubted = new TreeSet<>();

  private long turns;
  int closes;
  int kills;
  int powerFailures;
  int removals;

  EngineSimulation(SimulationCase which) {
    this.which = which;
    this.world = new SimulatedWorld(which.seed(), which.faults());
    this.machine = new SimulatedMachine(world, wrongs::add);
    this.operator = new EngineOperator(world, machine, wrongs::add);
  }

  void run() throws IOException {
    start();
    for (int i = 0; i < OPERATIONS; i++) {
      world.beginOperation(i);
      if (which.kept().get(i)) {
        operate();
      }
      for (int steps = world.choice.nextInt(STEPS_PER_OPERATION_MAX); steps > 0 && step(); ) {
        steps--;
      }
    }
    world.beginOperation(OPERATIONS);
    world.calmDown();
    settle();
    checkBitmaps(List.of(operator.book), false);
    operator.readEverything();
    settle();
    operator.releaseAll();
    settle();
    checkNothingLeft();
    checkBitmaps(List.of(operator.book), false);
    close();
  }

  private void operate() throws IOException {
    int what = world.choice.nextInt(100);
    if (what < 36) {
      someGuest().ifPresent(EngineGuest::write);
    } else if (what < 39) {
      someGuest().ifPresent(EngineGuest::flush);
    } else if (what < 56) {
      operator.read();
    } else if (what < 74) {
      operator.transact();
    } else if (what < 81) {
      operator.release();
    } else if (what < 86) {
      operator.look();
    } else if (what < 88) {
      operator.resize();
    } else if (what < 91) {
      pass(world.choice.nextInt(8) == 0 ? 70_000 : 1 + world.choice.nextInt(3000));
    } else if (what < 93) {
      removeOrAdd();
    } else if (what < 94) {
      settle();
      checkBitmaps(List.of(operator.book), false);
    } else if (what < 96) {
      close();
      start();
      checkBitmaps(List.of(operator.book.persistent()), true);
    } else if (what < 99) {
      end(false);
    } else {
      end(true);
    }
  }

  private Optional<EngineGuest> someGuest() {
    List<EngineGuest> all = List.copyOf(guests.values());
    return all.isEmpty()
        ? Optional.empty()
        : Optional.of(all.get(world.choice.nextInt(all.size())));
  }

  // ---- time ----

  private boolean step() {
    if (++turns > TURNS_MAX) {
      throw new AssertionError("it does not come to an end: " + operator.pending());
    }
    boolean went = machine.process().threads().step();
    raise();
    return went;
  }

  private void raise() {
    if (!wrongs.isEmpty()) {
      AssertionError error = new AssertionError(wrongs.getFirst().toString(), wrongs.getFirst());
      wrongs.subList(1, wrongs.size()).forEach(error::addSuppressed);
      throw error;
    }
  }

  private void until(BooleanSupplier done) {
    while (!done.getAsBoolean()) {
      if (!step() && !done.getAsBoolean()) {
        throw new AssertionError("nothing happens any more, but there wait: " + operator.pending());
      }
    }
  }

  /// Until all commands have come to their end and nothing is to be done.
  private void settle() {
    for (int round = 0; round < 3; round++) {
      while (step()) {
        // time goes on
      }
      machine.process().threads().tick();
    }
    while (step()) {
      // what the last ticks began
    }
    until(() -> operator.pending().isEmpty());
    assertEquals(0, machine.process().threads().living(), "threads that have not ended");
  }

  private void pass(long millis) {
    long endNanos = world.nowNanos() + millis * 1_000_000;
    Runnable _ = world.after(millis * 1_000_000, () -> {});
    until(() -> world.nowNanos() >= endNanos);
  }

  // ---- beginning and end ----

  private void start() throws IOException {
    machine.start();
    for (int tries = 0; guests.size() < machine.disks().size(); tries++) {
      if (tries == SimulatedMachine.STARTS_MAX) {
        throw new AssertionError("disks cannot be added: " + guests.keySet());
      }
      machine.disks().keySet().forEach(this::add);
      until(() -> operator.pending().isEmpty());
    }
  }

  private void add(String name) {
    if (!guests.containsKey(name)) {
      operator.command(
          "add " + name,
          () -> {
            machine.add(name);
            served(name);
            cameAgain = true;
          });
    }
  }

  private void served(String name) {
    ServedDisk served = machine.engine().disk(name).orElseThrow();
    if (!served.users().entered()) {
      throw new AssertionError("a disk that has just been added is gone");
    }
    guests.put(
        name, new EngineGuest(world, machine.disk(name), served, wrongs::add, operator.writes));
  }

  private void removeOrAdd() {
    List<String> all = List.copyOf(machine.disks().keySet());
    String name = all.get(world.choice.nextInt(all.size()));
    EngineGuest guest = guests.get(name);
    if (guest == null) {
      add(name);
      return;
    }
    guests.remove(name);
    leaving.add(guest);
    operator.command("remove " + name, () -> remove(name, guest));
  }

  private void remove(String name, EngineGuest guest) throws IOException {
    guest.leave().join();
    leaving.remove(guest);
    Optional<ServedDisk> disk = machine.engine().disk(name);
    if (disk.isEmpty()) {
      return; // the engine has been closed
    }
    disk.get().users().left();
    try {
      machine.alone(() -> machine.engine().removeDisk(name));
    } finally {
      if (machine.engine().disk(name).isPresent()) {
        served(name);
      } else {
        removals++;
        operator.book = operator.book.persistent(name);
      }
    }
  }

  /// Orderly, while commands are under way.
  private void close() throws IOException {
    closes++;
    for (EngineGuest guest : List.copyOf(guests.values())) {
      var _ = guest.leave();
    }
    leaving.addAll(guests.values());
    until(() -> leaving.stream().allMatch(guest -> guest.leave().isDone()));
    until(() -> operator.reads.open == 0);
    SimulatedMachine.Server process = machine.process();
    operator.closing();
    operator.command("close", () -> machine.alone(process.engine()::close));
    until(() -> operator.pending().isEmpty());
    while (step()) {
      // whatever comes after the end
    }
    assertEquals(0, process.threads().living(), "threads that have not ended");
    assertEquals(0, process.threads().pausing(), "writes that pause");
    assertEmpty(process.store().statistics());
    machine.ended();
    forget();
  }

  private void forget() {
    guests.clear();
    leaving.clear();
    operator.forget();
  }

  /// Not orderly.
  private void end(boolean powerFails) throws IOException {
    List<BitmapBook> candidates = operator.candidates();
    machine.kill();
    wrongs.clear();
    forget();
    if (powerFails) {
      powerFailures++;
      machine.powerFailure();
    } else {
      kills++;
    }
    start();
    checkBitmaps(candidates, true);
  }

  // ---- checks ----

  /// What the engine knows of a disk's bitmaps.
  private record Found(List<BitmapInfo> infos, Map<String, GranuleSet> dirty) {}

  /// Looks whether the bitmaps are those of one of these books.
  private void checkBitmaps(List<BitmapBook> candidates, boolean restarted) {
    Map<String, Found> found = lookAtAll();
    checkCheckpoints(found, restarted);
    List<String> differences = new ArrayList<>();
    for (BitmapBook candidate : candidates) {
      boolean mayLack = (restarted || cameAgain) && operator.mayLoseState();
      BitmapBook likely = mayLack ? less(candidate, found) : candidate;
      String difference = difference(likely, found);
      if (difference.isEmpty()) {
        operator.book = likely;
        cameAgain = false;
        return;
      }
      differences.add(difference);
    }
    throw new AssertionError("bitmaps: " + String.join("; or: ", differences));
  }

  /// Tried again until all could be read: only now can be told which of the books it was.
  private Map<String, Found> lookAtAll() {
    Map<String, Found> found = new LinkedHashMap<>();
    while (!found.keySet().containsAll(guests.keySet())) {
      operator.command(
          "look at all",
          () -> {
            for (String disk : List.copyOf(guests.keySet())) {
              found.put(disk, lookAt(disk));
            }
          });
      until(() -> operator.pending().isEmpty());
    }
    return found;
  }

  private Found lookAt(String disk) throws IOException {
    List<BitmapInfo> infos = machine.engine().bitmaps(disk);
    Map<String, GranuleSet> dirty = new HashMap<>();
    for (BitmapInfo info : infos) {
      if (!info.inconsistent() && !isLost(disk, info)) {
        dirty.put(info.name(), machine.engine().dirtySince(disk, info.name()));
      }
    }
    return new Found(infos, dirty);
  }

  private boolean isLost(String disk, BitmapInfo info) throws IOException {
    return info.checkpoint()
        && machine.engine().checkpoints(disk).stream()
            .anyMatch(each -> each.name().equals(info.name()) && each.inconsistent());
  }

  /// Without what a failing state directory may have lost.
  private BitmapBook less(BitmapBook book, Map<String, Found> found) {
    BitmapBook rest = book;
    for (Map.Entry<String, Found> each : found.entrySet()) {
      for (String name : book.of(each.getKey()).keySet()) {
        if (!each.getValue().dirty.containsKey(name)) {
          doubted.add(name);
          rest = rest.without(each.getKey(), name);
        }
      }
    }
    return rest;
  }

  private String difference(BitmapBook book, Map<String, Found> found) {
    for (Map.Entry<String, Found> each : found.entrySet()) {
      String disk = each.getKey();
      Set<String> names = new LinkedHashSet<>();
      for (BitmapInfo info : each.getValue().infos) {
        if (info.checkpoint() || (info.inconsistent() && operator.mayLoseState())) {
          continue;
        }
        names.add(info.name());
        BitmapBook.Bitmap bitmap = book.of(disk).get(info.name());
        if (bitmap == null && doubted.contains(info.name())) {
          names.remove(info.name());
          continue;
        }
        if (bitmap == null) {
          return disk + " has " + info.name();
        }
        if (info.inconsistent() || bitmap.recording() != info.recording()) {
          return disk
              + ": "
              + info
              + ", expected: "
              + (bitmap.recording() ? "" : "not ")
              + "recording";
        }
        GranuleSet dirty = each.getValue().dirty.get(info.name());
        int missing =
            dirty == null
                ? 0
                : BitmapBook.missing(bitmap.required(machine.disk(disk).content), dirty);
        if (missing >= 0) {
          return disk + ": bitmap " + info.name() + " lacks sector " + missing;
        }
      }
      if (!names.equals(book.of(disk).keySet())) {
        return disk + " has " + names + ", expected: " + book.of(disk).keySet();
      }
    }
    return "";
  }

  private void checkCheckpoints(Map<String, Found> found, boolean restarted) {
    Map<String, Set<String>> names = new HashMap<>();
    found.forEach(
        (disk, all) ->
            names.put(
                disk,
                all.infos.stream()
                    .filter(info -> info.checkpoint() && all.dirty.containsKey(info.name()))
                    .map(BitmapInfo::name)
                    .collect(Collectors.toSet())));
    boolean mayBeLost = operator.mayLoseState();
    if (!mayBeLost) {
      operator.checkpoints.requireWhole(names);
    }
    Set<String> snapshots =
        machine.engine().snapshots().stream().map(SnapshotStatus::name).collect(Collectors.toSet());
    List<String> wrong = new ArrayList<>();
    found.forEach(
        (disk, all) -> {
          Set<String> there = names.getOrDefault(disk, Set.of());
          wrong.addAll(operator.checkpoints.settle(disk, there, snapshots, restarted, mayBeLost));
          for (String name : there) {
            int missing =
                operator
                    .checkpoints
                    .required(disk, name, machine.disk(disk).content)
                    .map(
                        required ->
                            BitmapBook.missing(
                                required, Optional.ofNullable(all.dirty.get(name)).orElseThrow()))
                    .orElse(-1);
            if (missing >= 0) {
              wrong.add(
                  "since checkpoint " + name + " sector " + missing + " of " + disk + " lacks");
            }
          }
        });
    assertEquals(List.of(), wrong, "checkpoints");
  }

  /// Nobody does anything, and all snapshots have been released.
  private void checkNothingLeft() {
    SimulatedMachine.Server process = machine.process();
    assertEquals(List.of(), process.engine().snapshots(), "snapshots left");
    assertEquals(0, operator.reads.open, "reads never answered");
    for (ServedDisk disk : process.engine().servedDisks()) {
      assertEquals(List.of(), HookLeftovers.of(disk.hook()), "left in the hook");
      for (CheckpointInfo checkpoint : checkpoints(disk)) {
        assertEquals(Optional.empty(), checkpoint.pendingSnapshot(), checkpoint.name());
      }
    }
    assertEmpty(process.store().statistics());
    assertEquals(0, process.store().statistics().diskBytes(), "scratch space left in use");
  }

  private List<CheckpointInfo> checkpoints(ServedDisk disk) {
    try {
      return machine.engine().checkpoints(disk.config().name());
    } catch (NoSuchDiskException e) {
      throw new AssertionError(e);
    }
  }

  /// Space of the scratch file may be on its way to be given back: a store that closes leaves that.
  private static void assertEmpty(StoreStatistics left) {
    assertEquals(0, left.entries(), "entries left in the store");
    assertEquals(0, left.ramBytes(), "RAM left in use");
    assertEquals(0, left.spareBytes(), "spare copies left");
  }
}
