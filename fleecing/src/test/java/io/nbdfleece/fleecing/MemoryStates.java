// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DurableMarks;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
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
final class MemoryStates implements DiskStates {
  private final Map<String, Stored> disks = new ConcurrentHashMap<>();
  private final AtomicInteger generation = new AtomicInteger();

  /// Commits that go well before the next one fails; -1 = all do.
  final AtomicInteger commitsBeforeFailure = new AtomicInteger(-1);

  /// Whether all commits after the failed one fail as well.
  volatile boolean staysBroken;

  /// Run by each commit before, and after, the list is replaced.
  volatile Runnable beforeCommit = () -> {};

  volatile Runnable afterCommit = () -> {};

  /// What the "file system" holds of one disk.
  static final class Stored {
    List<BitmapRecord> list = List.of();
    final Map<String, Object> files = new HashMap<>();
    final Set<String> damaged = new HashSet<>();
    boolean clean = true;
    int made;
    Consumer<String> lost = _ -> {};
    volatile Runnable onTick = () -> {};
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
  public void close() {
    // The files stay.
  }

  private final class Opened implements DiskState {
    private final Stored stored;
    private final int mine;
    private final List<BitmapRecord> found;

    Opened(Stored stored, int mine) {
      this.stored = stored;
      this.mine = mine;
      synchronized (stored) {
        this.found =
            stored.list.stream()
                .map(r -> stored.damaged.contains(r.name()) ? inconsistent(r) : r)
                .toList();
        stored.clean = false;
        stored.files.keySet().retainAll(named(stored.list)); // left behind by a kill
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

    private static Set<String> named(List<BitmapRecord> records) {
      Set<String> named = new HashSet<>();
      records.forEach(r -> named.add(r.content()));
      return named;
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
        HeapBitArray bits = new HeapBitArray(1 << 20, granularityBytes);
        stored.files.put(name, bits);
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
      beforeCommit.run();
      requireAlive();
      int left = commitsBeforeFailure.get();
      if (left == 0) {
        commitsBeforeFailure.set(staysBroken ? 0 : -1);
        throw new IOException("no space left on device");
      }
      if (left > 0) {
        commitsBeforeFailure.decrementAndGet();
      }
      synchronized (stored) {
        Set<String> names = new HashSet<>();
        for (BitmapRecord record : records) {
          var _ = file(record.content());
          if (!names.add(record.name())) {
            throw new IllegalArgumentException("twice in the list: " + record.name());
          }
        }
        stored.list = new ArrayList<>(records);
        stored.files.keySet().retainAll(named(stored.list));
      }
      afterCommit.run();
    }

    @Override
    public void discard(List<String> contents) {
      synchronized (stored) {
        if (contents.stream().anyMatch(named(stored.list)::contains)) {
          throw new IllegalArgumentException("discards what the list names: " + contents);
        }
        contents.forEach(stored.files::remove);
      }
    }

    @Override
    public DurableMarks marks() {
      return DurableMarks.NONE;
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
    public void close() {
      // As killed: everything stays as it is.
    }
  }
}
