// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;

/// What one actor does in one round of a [PairRace]. All of it is chosen when it is made, so that a
/// seed repeats it; [#run] does it, and keeps what came of it.
final class RacedPlay implements Runnable {
  private static final int READS = 4;
  private static final int CLUSTERS_PER_CHANGE_MAX = 5;
  private static final int CLUSTERS_PER_READ_MAX = 8;

  /// A range of bytes.
  record Span(int offsetBytes, int lengthBytes) {
    int endBytes() {
      return offsetBytes + lengthBytes;
    }

    static Span random(Random random, int lengthBytesMax) {
      int length = 1 + random.nextInt(lengthBytesMax);
      return new Span(random.nextInt(PairRace.SIZE - length + 1), length);
    }
  }

  /// What a change leaves on the disk.
  ///
  /// @param mayKeep what was there before may stay instead
  @SuppressWarnings("ArrayRecordComponent") // never compared, never changed
  record Effect(Span span, byte[] bytes, boolean mayKeep) {}

  /// What a read of the snapshot yielded.
  @SuppressWarnings("ArrayRecordComponent") // never compared, never changed
  record FrozenPart(int offsetBytes, byte[] bytes) {}

  /// What is done to the bitmap.
  enum Command {
    CLEAR,
    MERGE_AWAY,
    DISABLE_AND_ENABLE
  }

  private interface Body {
    void run() throws IOException;
  }

  final RacedOperation operation;
  final Command command;
  final long ramBytes;
  final long scratchBytes;
  final List<FrozenPart> yielded = new ArrayList<>();
  final List<IOException> refusals = new ArrayList<>();
  private final PairRace race;
  private final String number;
  private final Span span;
  private final List<Span> readSpans = new ArrayList<>();
  private final byte[] data;
  private final boolean punches;
  private long beganNanos;
  private long endedNanos;

  RacedPlay(PairRace race, RacedOperation operation, int number, Random random) {
    this.race = race;
    this.operation = operation;
    this.number = "" + number;
    this.command = Command.values()[random.nextInt(Command.values().length)];
    this.ramBytes = (16L + random.nextInt(17)) * PairRace.CLUSTER;
    this.scratchBytes = random.nextInt(3) * (PairRace.SCRATCH_BYTES / 2);
    this.span = Span.random(random, CLUSTERS_PER_CHANGE_MAX * PairRace.CLUSTER);
    for (int i = 0; i < READS; i++) {
      readSpans.add(Span.random(random, CLUSTERS_PER_READ_MAX * PairRace.CLUSTER));
    }
    this.data = new byte[span.lengthBytes()];
    this.punches = random.nextBoolean();
    if (operation == RacedOperation.GUEST_WRITE) {
      random.nextBytes(data);
    }
  }

  /// The name of the snapshot that it begins.
  String lateSnapshot() {
    return "late-" + number;
  }

  @Override
  public void run() {
    beganNanos = System.nanoTime();
    tolerate(body());
    endedNanos = System.nanoTime();
  }

  /// Whether both were at it at the same time, for some while.
  boolean overlapped(RacedPlay other) {
    return beganNanos - other.endedNanos < 0 && other.beganNanos - endedNanos < 0;
  }

  private Body body() {
    return switch (operation) {
      case GUEST_WRITE, TRIM -> () -> asClient(() -> race.rig().apply("vda", mutation()));
      case SNAPSHOT_START -> this::beginSnapshot;
      case SNAPSHOT_READ -> () -> asClient(this::readAll);
      case DISCARD -> () -> asClient(this::discard);
      case RELEASE -> this::release;
      case SPILL -> () -> race.store().spillSooner(true);
      case BITMAP_COMMAND -> this::command;
      case CACHE_RESIZE -> this::resize;
      case SHUTDOWN -> this::close;
    };
  }

  private void tolerate(Body body) {
    try {
      body.run();
    } catch (IOException e) {
      refusals.add(e);
    }
  }

  /// Like a connection: the engine is not closed meanwhile.
  private void asClient(Body body) throws IOException {
    race.clients().readLock().lock();
    try {
      if (race.rig().engine().disks().isEmpty()) {
        throw new IOException("the server has stopped");
      }
      body.run();
    } finally {
      race.clients().readLock().unlock();
    }
  }

  private Mutation mutation() {
    if (operation == RacedOperation.GUEST_WRITE) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(data.length).put(data).flip();
      return new Mutation.Write(span.offsetBytes(), buffer, Mutation.Durability.CACHED);
    }
    return punches
        ? new Mutation.Zero(
            span.offsetBytes(),
            span.lengthBytes(),
            Mutation.Provisioning.MAY_PUNCH,
            Mutation.Durability.CACHED)
        : new Mutation.Discard(span.offsetBytes(), span.lengthBytes(), Mutation.Durability.CACHED);
  }

  private void beginSnapshot() throws IOException {
    var _ =
        EngineRig.get(
            race.rig()
                .engine()
                .snapshot(
                    EngineRig.request(lateSnapshot(), Optional.empty(), Optional.empty(), "vda")));
  }

  private void readAll() {
    for (Span each : readSpans) {
      tolerate(
          () ->
              yielded.add(
                  new FrozenPart(
                      each.offsetBytes(),
                      EngineRig.read(race.base(), each.offsetBytes(), each.lengthBytes()))));
    }
  }

  private void discard() throws IOException {
    EngineRig.Done done = new EngineRig.Done();
    race.base().discard(span.offsetBytes(), span.lengthBytes(), done);
    var _ = EngineRig.get(done.future);
  }

  private void release() throws IOException {
    var _ = race.rig().engine().release(PairRace.BASE);
  }

  private void command() throws IOException {
    BitmapRef bitmap = new BitmapRef("vda", PairRace.BITMAP);
    BitmapRef other = new BitmapRef("vda", "other-" + number);
    List<List<TransactionAction>> transactions =
        switch (command) {
          case CLEAR -> List.of(List.of(new TransactionAction.ClearBitmap(bitmap)));
          case DISABLE_AND_ENABLE ->
              List.of(
                  List.of(new TransactionAction.DisableBitmap(bitmap)),
                  List.of(new TransactionAction.EnableBitmap(bitmap)));
          case MERGE_AWAY ->
              List.of(
                  List.of(
                      new TransactionAction.AddBitmap(
                          other, OptionalInt.of(PairRace.CLUSTER), false, true),
                      new TransactionAction.MergeBitmaps(other, List.of(bitmap))),
                  List.of(new TransactionAction.RemoveBitmap(other)));
        };
    for (List<TransactionAction> actions : transactions) {
      var _ = EngineRig.get(race.rig().engine().transact(actions));
    }
  }

  private void resize() throws IOException {
    race.rig().engine().resizeStore(OptionalLong.of(ramBytes), OptionalLong.of(scratchBytes));
  }

  private void close() throws IOException {
    race.clients().writeLock().lock();
    try {
      race.rig().engine().close();
    } finally {
      race.clients().writeLock().unlock();
    }
  }

  boolean isRefused() {
    return !refusals.isEmpty();
  }

  /// What it has left on the disk.
  Optional<Effect> effect() {
    return operation.changesDisk() && !isRefused()
        ? Optional.of(new Effect(span, data, operation == RacedOperation.TRIM && !punches))
        : Optional.empty();
  }

  /// What the client of the snapshot has given up.
  Optional<Span> discarded() {
    return operation == RacedOperation.DISCARD && !isRefused()
        ? Optional.of(span)
        : Optional.empty();
  }
}
