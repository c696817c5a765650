// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DurableMarks;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/// States of disks that outlive an engine, but not the test: a list that is replaced as a whole,
/// "files" that go when no list names them, live arrays that keep what was marked until the kill.
///
/// A commit of several disks prepares each, decides, and then each disk takes its list over; one
/// that a kill kept from it does so when it is opened.
final class MemoryStates implements DiskStates {
  private final long diskBytes;
  private final Map<String, Stored> disks = new ConcurrentHashMap<>();
  private final AtomicInteger generation = new AtomicInteger();

  /// Lists, and decisions about several, that are written before the next one fails; -1 = all are.
  final AtomicInteger commitsBeforeFailure = new AtomicInteger(-1);

  /// Whether all that are written after the failed one fail as well.
  volatile boolean staysBroken;

  /// Run for each disk of a commit before, and after, its list is replaced.
  volatile Runnable beforeCommit = () -> {};

  volatile Runnable afterCommit = () -> {};

  /// Told of each step of a commit.
  volatile Onlooker onlooker = new Onlooker() {};

  /// Its methods run on the thread that commits, under no lock.
  interface Onlooker {

    /// Something was written, or forced, or is about to be.
    default void step(Stored stored) {}

    /// The data of the disk is on stable storage.
    default void synced() {}
  }

  /// What the "file system" holds of one disk.
  static final class Stored {
    List<BitmapRecord> list = List.of();
    Optional<List<BitmapRecord>> next = Optional.empty();
    boolean decided;
    final Map<String, Object> files = new HashMap<>();
    final Set<String> damaged = new HashSet<>();

    /// Of live files, the marks that were forced.
    final Map<String, GranuleSet> forced = new HashMap<>();

    RegionLog log = new RegionLog();
    boolean clean = true;
    int made;
    Consumer<String> lost = _ -> {};
    volatile Runnable onTick = () -> {};

    /// The list that was prepared counts, or goes.
    synchronized void settle() {
      if (decided) {
        list = next.orElseThrow();
      }
      decided = false;
      next = Optional.empty();
      files.keySet().retainAll(named(list));
      forced.keySet().retainAll(named(list));
    }
  }

  /// @param diskBytes size of each disk
  MemoryStates(long diskBytes) {
    this.diskBytes = diskBytes;
  }

  private static Set<String> named(List<BitmapRecord> records) {
    Set<String> named = new HashSet<>();
    records.forEach(r -> named.add(r.content()));
    return named;
  }

  Stored stored(String disk) {
    return disks.computeIfAbsent(disk, _ -> new Stored());
  }

  /// Whatever is open loses its grip on the files, as in a kill.
  void kill() {
    generation.incrementAndGet();
  }

  @Override
  public DiskState disk(
      String disk, DiskIdentity identity, Executor workers, Consumer<String> lost) {
    Stored stored = stored(disk);
    stored.lost = lost;
    return new Opened(stored, generation.get());
  }

  @Override
  public void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException {
    Map<Opened, List<BitmapRecord>> all = new LinkedHashMap<>();
    lists.forEach((state, records) -> all.put((Opened) state, records));
    for (Map.Entry<Opened, List<BitmapRecord>> each : all.entrySet()) {
      each.getKey().prepare(each.getValue());
    }
    failOnRequest();
    for (Opened each : all.keySet()) {
      each.requireAlive();
    }
    all.keySet().forEach(each -> each.stored.decided = true);
    for (Opened each : all.keySet()) {
      if (each.mine == generation.get()) { // else it is dead: the next opening goes on
        each.stored.settle();
        onlooker.step(each.stored);
        afterCommit.run();
      }
    }
  }

  private void failOnRequest() throws IOException {
    int left = commitsBeforeFailure.get();
    if (left == 0) {
      commitsBeforeFailure.set(staysBroken ? 0 : -1);
      throw new IOException("no space left on device");
    }
    if (left > 0) {
      commitsBeforeFailure.decrementAndGet();
    }
  }

  @Override
  public void close() {
    // The files stay.
  }

  private final class Opened implements DiskState {
    private final Stored stored;
    private final int mine;
    private final List<BitmapRecord> found;
    private final RegionLog log = new RegionLog();

    Opened(Stored stored, int mine) {
      this.stored = stored;
      this.mine = mine;
      synchronized (stored) {
        stored.settle(); // and what a kill left behind
        this.found =
            stored.list.stream()
                .map(r -> stored.damaged.contains(r.name()) ? inconsistent(r) : r)
                .toList();
        stored.clean = false;
        stored.list.forEach(this::force); // the new log knows nothing of what was written
        stored.log = log;
      }
    }

    private void force(BitmapRecord record) {
      synchronized (stored) {
        if (stored.files.get(record.content()) instanceof HeapBitArray bits) {
          stored.forced.put(record.content(), bits.toSet());
        }
      }
    }

    private static BitmapRecord inconsistent(BitmapRecord r) {
      return new BitmapRecord(
          r.name(),
          r.granularityBytes(),
          r.content(),
          r.form(),
          r.enabled(),
          true,
          r.checkpoint(),
          r.pendingSnapshot(),
          r.created());
    }

    private void requireAlive() throws IOException {
      if (mine != generation.get()) {
        throw new IOException("killed");
      }
    }

    @Override
    public List<BitmapRecord> found() {
      return found;
    }

    @Override
    public String finding() {
      synchronized (stored) {
        return stored.damaged.isEmpty() ? "" : "the disk was changed behind our back";
      }
    }

    @Override
    public LiveContent create(int granularityBytes) throws IOException {
      requireAlive();
      synchronized (stored) {
        String name = "live-" + ++stored.made;
        HeapBitArray bits = new HeapBitArray(diskBytes, granularityBytes);
        stored.files.put(name, bits);
        stored.forced.put(name, bits.toSet());
        return new LiveContent(name, bits);
      }
    }

    private Object file(String name) throws IOException {
      synchronized (stored) {
        return Optional.ofNullable(stored.files.get(name))
            .orElseThrow(() -> new IOException("no such file: " + name));
      }
    }

    @Override
    public LiveContent open(BitmapRecord live) throws IOException {
      return new LiveContent(live.content(), (HeapBitArray) file(live.content()));
    }

    @Override
    public String seal(GranuleSet set) throws IOException {
      requireAlive();
      synchronized (stored) {
        String name = "sealed-" + ++stored.made;
        stored.files.put(name, set);
        return name;
      }
    }

    @Override
    public GranuleSet load(BitmapRecord sealed) throws IOException {
      return (GranuleSet) file(sealed.content());
    }

    @Override
    public void commit(List<BitmapRecord> records) throws IOException {
      prepare(records);
      stored.decided = true;
      stored.settle();
      onlooker.step(stored);
      afterCommit.run();
    }

    private void prepare(List<BitmapRecord> records) throws IOException {
      beforeCommit.run();
      requireAlive();
      failOnRequest();
      onlooker.step(stored);
      Set<String> before = named(stored.list);
      boolean begins = false;
      for (BitmapRecord record : records) {
        if (file(record.content()) instanceof HeapBitArray) {
          force(record);
          onlooker.step(stored);
          begins |= !before.contains(record.content());
        }
      }
      if (begins) {
        onlooker.synced();
        onlooker.step(stored);
      }
      synchronized (stored) {
        Set<String> names = new HashSet<>();
        for (BitmapRecord record : records) {
          var _ = file(record.content());
          if (!names.add(record.name())) {
            throw new IllegalArgumentException("twice in the list: " + record.name());
          }
        }
        stored.next = Optional.of(List.copyOf(records));
      }
    }

    @Override
    public void discard(List<String> contents) {
      synchronized (stored) {
        if (contents.stream().anyMatch(named(stored.list)::contains)) {
          throw new IllegalArgumentException("discards what the list names: " + contents);
        }
        contents.forEach(stored.files::remove);
        contents.forEach(stored.forced::remove);
      }
    }

    @Override
    public DurableMarks marks() {
      return log;
    }

    @Override
    public void tick() {
      stored.onTick.run();
    }

    @Override
    public void closeClean(List<BitmapRecord> records) throws IOException {
      requireAlive();
      synchronized (stored) {
        if (!records.equals(stored.list)) {
          commit(records);
        }
        stored.clean = true;
      }
    }

    @Override
    public boolean isLost() {
      return false;
    }

    @Override
    public void close() {
      // As killed: everything stays as it is.
    }
  }
}
