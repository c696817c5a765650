// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.SlotFile;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.Outcome;
import io.nbdfleece.fleecing.hook.SimulatedDisk;
import io.nbdfleece.fleecing.hook.SimulatedStores;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import io.nbdfleece.fleecing.state.SimulatedStateDirectory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/// The machine of a simulation: disks and a state directory that stay, and a process with an engine
/// that comes and goes. Whenever the engine looks at the clock on the wall, what the disks hold
/// then is remembered: the moment that it takes for the instant of a transaction is its own choice,
/// but all disks have to be as they were then.
final class SimulatedMachine {
  static final int CLUSTER_BYTES = 4096;

  static final int SECTOR_BYTES = 512;

  /// So often a failing state directory is tried.
  static final int STARTS_MAX = 50;

  private static final int GRANULE_BYTES = 64 << 10;
  private static final long BOOT_NANOS = 10_000_000_000L;
  private static final long DELAY_NANOS_MAX = 500_000;
  private static final Instant EPOCH = Instant.ofEpochSecond(1_700_000_000);

  private final SimulatedWorld world;
  private final Consumer<Throwable> wrong;
  private final Map<String, SimulatedDisk> disks = new LinkedHashMap<>();
  private final SimulatedStateDirectory states;
  private Optional<Server> running = Optional.empty();
  private Instant lastInstant = EPOCH;

  /// What the disks held when the clock was looked at.
  private final Map<Instant, Map<String, byte[]>> contents = new HashMap<>();

  private final Map<String, Copied> copies = new HashMap<>();

  /// The last look that was a transaction's.
  private Map<String, byte[]> lastContents = Map.of();

  /// Threads that look at the clock for something else than a transaction.
  private final Set<Thread> others = new LinkedHashSet<>();

  @SuppressWarnings("ArrayRecordComponent") // never compared, never changed
  private record Copied(long changes, byte[] content) {}

  /// One run of the server.
  record Server(FleecingEngine engine, SimulatedThreads threads, TieredStore store, Scratch file) {}

  SimulatedMachine(SimulatedWorld world, Consumer<Throwable> wrong) {
    this.world = world;
    this.wrong = wrong;
    int count = 1 + world.random.nextInt(3);
    boolean alike = world.chance(0.5);
    int sizeBytes = someSizeBytes();
    for (int i = 0; i < count; i++) {
      byte[] content = new byte[alike ? sizeBytes : someSizeBytes()];
      world.random.nextBytes(content);
      for (int at = 0; at < content.length; at += CLUSTER_BYTES) {
        if (world.chance(0.3)) {
          Arrays.fill(content, at, Math.min(content.length, at + CLUSTER_BYTES), (byte) 0);
        }
      }
      disks.put("d" + i, new SimulatedDisk(world, content, DELAY_NANOS_MAX));
    }
    this.states =
        new SimulatedStateDirectory(
            world.random,
            world::nowNanos,
            () -> running.ifPresent(process -> process.threads.giveWay()),
            () -> world.faults.contains(Fault.STATE_CALL) && world.strikes(Fault.STATE_CALL, 0.01));
  }

  private int someSizeBytes() {
    return GRANULE_BYTES / 2 + world.random.nextInt(5 * GRANULE_BYTES / 2) & -SECTOR_BYTES;
  }

  Map<String, SimulatedDisk> disks() {
    return disks;
  }

  SimulatedDisk disk(String name) {
    return Optional.ofNullable(disks.get(name)).orElseThrow();
  }

  Server process() {
    return running.orElseThrow();
  }

  FleecingEngine engine() {
    return process().engine;
  }

  boolean isRunning() {
    return running.isPresent();
  }

  /// What a disk held at an instant that the engine noted.
  byte[] contentAt(Instant instant, String disk) {
    return Optional.ofNullable(contentsAt(instant).get(disk)).orElseThrow();
  }

  /// What all disks held then.
  Map<String, byte[]> contentsAt(Instant instant) {
    return Optional.ofNullable(contents.get(instant))
        .orElseThrow(() -> new AssertionError("an instant that the engine made up: " + instant));
  }

  /// What the disks held when the last transaction was carried out.
  Map<String, byte[]> lastContents() {
    return lastContents;
  }

  /// That transaction is over.
  void forgetLastContents() {
    lastContents = Map.of();
  }

  private Instant lookAtTheClock() {
    Instant now = EPOCH.plusNanos(world.nowNanos());
    lastInstant = now.isAfter(lastInstant) ? now : lastInstant.plusNanos(1);
    Map<String, byte[]> all = new HashMap<>();
    disks.forEach((name, disk) -> all.put(name, copyOf(name, disk)));
    contents.put(lastInstant, all);
    if (!others.contains(Thread.currentThread())) {
      lastContents = all;
    }
    return lastInstant;
  }

  private byte[] copyOf(String name, SimulatedDisk disk) {
    Copied before = copies.get(name);
    if (before == null || before.changes != disk.changes()) {
      before = new Copied(disk.changes(), disk.content.clone());
      copies.put(name, before);
    }
    return before.content;
  }

  /// Starts a server with some of the disks' bitmaps; the disks are added by whoever calls.
  Server start() throws IOException {
    contents.clear();
    int workersMax = 1 + world.choice.nextInt(6);
    SimulatedThreads threads = new SimulatedThreads(world, workersMax, this::lookAtTheClock, wrong);
    openStates();
    threads.repeatHeartbeat(1000, states::beat);
    boolean small = world.faults.contains(Fault.SCRATCH_SMALL);
    long scratchSlots = small ? world.choice.nextInt(60) : 1 << 18;
    EngineConfig config =
        new EngineConfig(
            CLUSTER_BYTES,
            (16L + world.choice.nextInt(40)) * CLUSTER_BYTES,
            Path.of("/simulated"),
            scratchSlots * CLUSTER_BYTES,
            workersMax,
            Optional.empty(),
            new GuestFirst(1 + world.choice.nextInt(100), Duration.ZERO));
    Scratch scratch = new Scratch(SimulatedStores.scratch(world, CLUSTER_BYTES));
    List<TieredStore> stores = new ArrayList<>();
    FleecingEngine engine =
        FleecingEngine.open(
            config,
            Optional.of(new States()),
            world::nowNanos,
            (storeConfig, _) -> {
              TieredStore store =
                  new TieredStore(storeConfig, scratch, world.executor(DELAY_NANOS_MAX / 10));
              stores.add(store);
              return store;
            },
            threads);
    Server process = new Server(engine, threads, stores.getFirst(), scratch);
    running = Optional.of(process);
    return process;
  }

  /// Somebody tries again when it fails.
  private void openStates() throws IOException {
    for (int tries = 0; true; tries++) {
      try {
        states.start();
        return;
      } catch (IOException e) {
        if (tries == STARTS_MAX) {
          throw e;
        }
      }
    }
  }

  /// Adds a disk; waits.
  void add(String name) throws IOException {
    others.add(Thread.currentThread());
    try {
      var _ =
          engine()
              .addDisk(
                  new DiskConfig(name, "/simulated/" + name, DiskConfig.Access.READ_WRITE)
                      .withSkipUnchanged(world.choice.nextInt(3) == 0),
                  new Handle(disk(name)));
    } finally {
      others.remove(Thread.currentThread());
    }
  }

  /// Does something in which the engine looks at the clock by itself; waits.
  void alone(Waiting what) throws IOException {
    others.add(Thread.currentThread());
    try {
      what.run();
    } finally {
      others.remove(Thread.currentThread());
    }
  }

  interface Waiting {
    void run() throws IOException;
  }

  /// Ends the server's process, wherever it is.
  void kill() throws IOException {
    Server process = process();
    running = Optional.empty();
    process.threads.kill();
    world.forget();
    process.file.die();
    process.store.close(); // only its memory: nothing of it hears of anything any more
    world.forget();
  }

  /// The server has closed its engine.
  void ended() {
    running = Optional.empty();
  }

  /// The machine stops, and starts again.
  void powerFailure() {
    disks.values().forEach(SimulatedDisk::powerFailure);
    world.passTo(world.nowNanos() + BOOT_NANOS);
    states.powerFailure();
    world.passTo(world.nowNanos() + BOOT_NANOS);
  }

  /// A disk as one process has it: when that has been killed nothing is done.
  private final class Handle implements BlockNode {
    private final SimulatedDisk disk;
    private final SimulatedThreads threads = process().threads;

    Handle(SimulatedDisk disk) {
      this.disk = disk;
    }

    private boolean isDead() {
      return running.isEmpty() || running.get().threads != threads;
    }

    /// A worker waits for it.
    private Completion waiting(Completion done) {
      threads.workBegins(1);
      return new Completion() {
        @Override
        public void succeeded() {
          done.succeeded();
          threads.workBegins(-1);
        }

        @Override
        public void failed(IOException error) {
          done.failed(error);
          threads.workBegins(-1);
        }
      };
    }

    @Override
    public long sizeBytes() {
      return disk.sizeBytes();
    }

    @Override
    public Set<io.nbdfleece.fleecing.block.NodeAbility> abilities() {
      return disk.abilities();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      if (!isDead()) {
        disk.read(offsetBytes, target, waiting(done));
      }
    }

    @Override
    public void apply(io.nbdfleece.fleecing.block.Mutation mutation, Completion done) {
      if (!isDead()) {
        disk.apply(mutation, waiting(done));
      }
    }

    @Override
    public void flush(Completion done) {
      if (!isDead()) {
        disk.flush(waiting(done));
      }
    }

    @Override
    public void status(
        long offsetBytes,
        long lengthBytes,
        int extentsMax,
        io.nbdfleece.fleecing.block.ExtentsCompletion done) {
      if (!isDead()) {
        disk.status(offsetBytes, lengthBytes, extentsMax, done);
      }
    }

    @Override
    public void close() {}
  }

  /// The process's states of disks.
  private final class States implements DiskStates {
    @Override
    public Optional<DiskIdentity> identity(DiskConfig disk, BlockNode node) {
      return Optional.of(new Identity(disk.name(), disk(disk.name())));
    }

    @Override
    public DiskState disk(
        String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
        throws IOException {
      return states.disk(disk, identity, workers, lost);
    }

    private SimulatedDisk disk(String name) {
      return SimulatedMachine.this.disk(name);
    }

    @Override
    public void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException {
      states.commit(lists);
    }

    @Override
    public void close() {
      process().threads.endHeartbeats();
    }
  }

  /// What tells a disk from another one, and whether it was changed.
  private final class Identity implements DiskIdentity {
    private final String name;
    private final SimulatedDisk disk;

    Identity(String name, SimulatedDisk disk) {
      this.name = name;
      this.disk = disk;
    }

    @Override
    public long sizeBytes() {
      return disk.sizeBytes();
    }

    @Override
    public String identity() {
      return name;
    }

    @Override
    public String stamp() {
      return "" + disk.changes();
    }

    @Override
    public OptionalLong modifiedEpochNanos() {
      return OptionalLong.of(states.epochNanos(disk.changedNanos()));
    }

    @Override
    public void sync() throws IOException {
      Outcome synced = new Outcome();
      disk.flush(synced);
      try {
        synced.future().join();
      } catch (CompletionException e) {
        throw e.getCause() instanceof IOException cause ? cause : new IOException(e);
      }
    }
  }

  /// The scratch file of one process, which can be ended while it is used.
  static final class Scratch implements SlotFile {
    private final SlotFile file;
    private final Set<Changing> underWay = new LinkedHashSet<>();

    Scratch(SlotFile file) {
      this.file = file;
    }

    private final class Changing implements Completion {
      private final Completion done;

      Changing(Completion done) {
        this.done = done;
        underWay.add(this);
      }

      @Override
      public void succeeded() {
        underWay.remove(this);
        done.succeeded();
      }

      @Override
      public void failed(IOException error) {
        underWay.remove(this);
        done.failed(error);
      }
    }

    @Override
    public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
      file.write(offsetBytes, data, new Changing(done));
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      file.read(offsetBytes, target, done);
    }

    @Override
    public void punch(long offsetBytes, long lengthBytes, Completion done) {
      file.punch(offsetBytes, lengthBytes, new Changing(done));
    }

    private void die() {
      while (!underWay.isEmpty()) {
        underWay.iterator().next().failed(new IOException("killed"));
      }
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
