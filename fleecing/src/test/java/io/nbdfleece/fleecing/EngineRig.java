// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;

/// An engine over files of 1 MiB, with a clock of its own for lifetimes and a state that survives
/// it.
final class EngineRig implements AutoCloseable {
  static final int SIZE = 1 << 20;
  static final int GRANULE = 64 << 10;

  final MemoryStates states;
  final AtomicLong nowNanos = new AtomicLong();
  private final Path directory;
  private final List<String> diskNames;
  private final boolean keepsState;
  private final EngineConfig config;
  private final FleecingEngine.StoreOpening storeOpening;
  private FleecingEngine engine;

  EngineRig(Path directory, boolean keepsState, String... diskNames) throws IOException {
    this(
        directory,
        keepsState,
        SIZE,
        new EngineConfig(GRANULE, 4 << 20, directory, 16 << 20, 4),
        TieredStore::open,
        diskNames);
  }

  /// One over files of another size, with a store of the caller's choice.
  EngineRig(
      Path directory,
      boolean keepsState,
      int sizeBytes,
      EngineConfig config,
      FleecingEngine.StoreOpening storeOpening,
      String... diskNames)
      throws IOException {
    this.states = new MemoryStates(sizeBytes);
    this.directory = directory;
    this.keepsState = keepsState;
    this.config = config;
    this.storeOpening = storeOpening;
    this.diskNames = List.of(diskNames);
    for (String name : diskNames) {
      Path file = file(name);
      Files.write(file, new byte[sizeBytes]);
    }
    this.engine = open();
  }

  Path file(String disk) {
    return directory.resolve(disk + ".img");
  }

  private FleecingEngine open() throws IOException {
    FleecingEngine opened =
        FleecingEngine.open(
            config,
            keepsState ? Optional.of(states) : Optional.empty(),
            nowNanos::get,
            storeOpening);
    for (String name : diskNames) {
      var _ =
          opened.addDisk(new DiskConfig(name, file(name).toString(), DiskConfig.Access.READ_WRITE));
    }
    return opened;
  }

  FleecingEngine engine() {
    return engine;
  }

  ServedDisk disk(String name) {
    return engine.disk(name).orElseThrow();
  }

  /// Closes the engine and opens another one on the same files.
  void restart() throws IOException {
    engine.close();
    engine = open();
  }

  /// The same, with what the state held at this moment.
  void killAndRestart() throws IOException {
    states.kill();
    try {
      engine.close();
    } catch (IOException e) {
      if (!message(e).contains("killed")) {
        throw e;
      }
    }
    engine = open();
  }

  @Override
  public void close() throws IOException {
    engine.close();
  }

  static String message(Throwable failure) {
    return "" + failure.getMessage();
  }

  /// Waits, and throws what the operation failed with.
  static <T> T get(CompletableFuture<T> future) throws IOException {
    try {
      return future.get(30, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      Throwable cause = e.getCause();
      while (cause instanceof CompletionException && cause.getCause() != null) {
        cause = cause.getCause();
      }
      if (cause instanceof IOException failure) {
        throw failure;
      }
      throw new AssertionError(cause);
    } catch (InterruptedException | TimeoutException e) {
      throw new AssertionError(e);
    }
  }

  FleecingEngine.TransactionResult transact(TransactionAction... actions) throws IOException {
    return get(engine.transact(List.of(actions)));
  }

  static final class Done implements Completion {
    final CompletableFuture<Void> future = new CompletableFuture<>();

    @Override
    public void succeeded() {
      future.complete(null);
    }

    @Override
    public void failed(IOException error) {
      future.completeExceptionally(error);
    }
  }

  void write(String disk, long offsetBytes, byte[] data) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(data.length).put(data).flip();
    apply(disk, new Mutation.Write(offsetBytes, buffer, Mutation.Durability.CACHED));
  }

  /// One byte into that granule.
  void touch(String disk, int granule) throws IOException {
    write(disk, (long) granule * GRANULE, new byte[] {1});
  }

  void apply(String disk, Mutation mutation) throws IOException {
    Done done = new Done();
    disk(disk).top().apply(mutation, done);
    var _ = get(done.future);
  }

  static byte[] read(SnapshotView view, long offsetBytes, int lengthBytes) throws IOException {
    ByteBuffer target = ByteBuffer.allocateDirect(lengthBytes);
    Done done = new Done();
    view.read(offsetBytes, target, done);
    var _ = get(done.future);
    byte[] bytes = new byte[lengthBytes];
    target.flip().get(bytes);
    return bytes;
  }

  SnapshotView view(String snapshot, String disk) {
    return engine.takenSnapshot(snapshot).orElseThrow().part(disk).orElseThrow().view();
  }

  GranuleSet exported(String snapshot, String disk) {
    return engine
        .takenSnapshot(snapshot)
        .orElseThrow()
        .part(disk)
        .orElseThrow()
        .dirty()
        .orElseThrow()
        .granules();
  }

  /// The dirty granules of a bitmap, or since a checkpoint.
  List<Integer> dirty(String disk, String name) throws IOException {
    return granules(engine.dirtySince(disk, name));
  }

  static List<Integer> granules(GranuleSet set) {
    List<Integer> list = new ArrayList<>();
    set.granules().forEach((int granule) -> list.add(granule));
    return list;
  }

  BitmapInfo info(String disk, String name) throws IOException {
    return engine.bitmaps(disk).stream()
        .filter(info -> info.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  /// All that a transaction that fails must leave as it was.
  List<Object> everything() throws IOException {
    List<Object> all = new ArrayList<>();
    for (String disk : diskNames) {
      all.add(engine.bitmaps(disk));
      all.add(engine.checkpoints(disk));
      for (BitmapInfo info : engine.bitmaps(disk)) {
        if (!info.inconsistent()) {
          all.add(dirty(disk, info.name()));
        }
      }
      all.add(disk(disk).tracking().current().arrays());
      if (keepsState) {
        synchronized (states.stored(disk)) {
          all.add(List.copyOf(states.stored(disk).list));
          all.add(Map.copyOf(states.stored(disk).files).keySet());
        }
      }
    }
    all.add(engine.snapshots().stream().map(SnapshotStatus::name).toList());
    return all;
  }

  static TransactionAction add(String disk, String name) {
    return add(disk, name, false);
  }

  static TransactionAction add(String disk, String name, boolean persistent) {
    return new TransactionAction.AddBitmap(
        new BitmapRef(disk, name), OptionalInt.empty(), persistent, false);
  }

  /// A request for a snapshot of one of a chain.
  static SnapshotRequest request(
      String name, Optional<String> checkpoint, Optional<String> since, String... disks) {
    return request(name, checkpoint, since, SnapshotRequest.Lifetime.UNTIL_RELEASED, disks);
  }

  static SnapshotRequest request(
      String name,
      Optional<String> checkpoint,
      Optional<String> since,
      SnapshotRequest.Lifetime lifetime,
      String... disks) {
    return new SnapshotRequest(
        List.of(disks),
        Optional.of(name),
        SnapshotRequest.Access.READ_ONLY,
        SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
        Duration.ofSeconds(30),
        new SnapshotRequest.Increment(
            checkpoint, since, Map.of(), Optional.empty(), SnapshotRequest.Outside.DATA),
        lifetime);
  }

  SnapshotStatus take(String name, String checkpoint) throws IOException {
    return get(engine.snapshot(request(name, Optional.of(checkpoint), Optional.empty())));
  }

  SnapshotStatus take(String name, String checkpoint, String since) throws IOException {
    return get(engine.snapshot(request(name, Optional.of(checkpoint), Optional.of(since))));
  }
}
