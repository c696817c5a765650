// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/// Transactions by chance: most could succeed.
final class SomeActions {
  private static final int BITMAPS_MAX = 4;
  private static final int SNAPSHOTS_MAX = 5;

  private final SimulatedWorld world;
  private final SimulatedMachine machine;
  private final EngineOperator operator;
  private int names;

  SomeActions(SimulatedWorld world, SimulatedMachine machine, EngineOperator operator) {
    this.world = world;
    this.machine = machine;
    this.operator = operator;
  }

  private int below(int bound) {
    return world.choice.nextInt(bound);
  }

  private <T> T one(List<T> of) {
    return of.get(below(of.size()));
  }

  List<TransactionAction> some() {
    List<TransactionAction> actions = new ArrayList<>();
    BitmapBook then = operator.book;
    boolean takes = below(2) == 0 && machine.engine().snapshots().size() < SNAPSHOTS_MAX;
    int count = below(4) + (takes ? 0 : 1);
    int takenAt = takes ? below(count + 1) : -1;
    for (int i = 0; i <= count; i++) {
      if (i == takenAt) {
        actions.add(new TransactionAction.TakeSnapshot(snapshot(then)));
      }
      if (i < count) {
        TransactionAction action = onBitmaps(then);
        actions.add(action);
        try {
          then = then.after(List.of(action), contents());
        } catch (AssertionError e) {
          // so it will fail
        }
      }
    }
    if (below(15) == 0) {
      actions.add(new TransactionAction.Abort());
    }
    return List.copyOf(actions);
  }

  private Map<String, byte[]> contents() {
    Map<String, byte[]> now = new HashMap<>();
    machine.disks().forEach((name, disk) -> now.put(name, disk.content));
    return now;
  }

  private TransactionAction onBitmaps(BitmapBook then) {
    String disk = one(List.copyOf(machine.disks().keySet()));
    List<String> all = List.copyOf(then.of(disk).keySet());
    if (all.isEmpty() || (all.size() < BITMAPS_MAX && below(5) == 0)) {
      return new TransactionAction.AddBitmap(
          new BitmapRef(disk, "b" + names++),
          OptionalInt.of(512 << below(9)),
          below(4) > 0,
          below(4) == 0);
    }
    BitmapRef ref = new BitmapRef(disk, one(all));
    List<String> standing = operator.checkpoints.standing(disk);
    return switch (below(9)) {
      case 0 -> new TransactionAction.RemoveBitmap(ref);
      case 1, 2 -> new TransactionAction.ClearBitmap(ref);
      case 3 -> new TransactionAction.EnableBitmap(ref);
      case 4 -> new TransactionAction.DisableBitmap(ref);
      case 5 -> {
        int size = machine.disk(disk).content.length;
        int from = below(size);
        yield new TransactionAction.MarkDirty(
            ref, List.of(new TransactionAction.Range(from, 1L + below(size - from))));
      }
      case 6 ->
          standing.isEmpty()
              ? new TransactionAction.ClearBitmap(ref)
              : new TransactionAction.DeleteCheckpoint(disk, one(standing));
      default -> new TransactionAction.MergeBitmaps(ref, List.of(source(disk, all, then)));
    };
  }

  /// A bitmap of a disk of the same size, of the same one as a rule.
  private BitmapRef source(String disk, List<String> all, BitmapBook then) {
    String other = one(List.copyOf(machine.disks().keySet()));
    List<String> others = List.copyOf(then.of(other).keySet());
    boolean fits =
        !others.isEmpty()
            && machine.disk(other).content.length == machine.disk(disk).content.length;
    return fits ? new BitmapRef(other, one(others)) : new BitmapRef(disk, one(all));
  }

  private SnapshotRequest snapshot(BitmapBook then) {
    List<String> disks = new ArrayList<>(machine.disks().keySet());
    if (below(3) == 0) {
      disks = new ArrayList<>(List.of(one(disks)));
    }
    Map<String, Optional<String>> since = new HashMap<>();
    for (String disk : disks) {
      List<String> bases = new ArrayList<>(operator.checkpoints.standing(disk));
      bases.addAll(then.of(disk).keySet());
      if (!bases.isEmpty() && below(3) > 0) {
        since.put(disk, Optional.of(one(bases)));
      }
    }
    String name = "s" + names++;
    Optional<String> checkpoint = below(5) < 2 ? Optional.of("c" + names++) : Optional.empty();
    SnapshotRequest.OnCbwError policy =
        below(4) == 0
            ? SnapshotRequest.OnCbwError.BREAK_GUEST_WRITE
            : SnapshotRequest.OnCbwError.BREAK_SNAPSHOT;
    operator.writes.mayRefuse |= policy == SnapshotRequest.OnCbwError.BREAK_GUEST_WRITE;
    boolean deadline = world.faults.contains(Fault.DEADLINE) && below(2) == 0;
    boolean quota = world.faults.contains(Fault.QUOTA) && below(2) == 0;
    return new SnapshotRequest(
        disks,
        Optional.of(name),
        one(List.of(SnapshotRequest.Access.values())),
        policy,
        deadline ? Duration.ofNanos(250_000) : SnapshotRequest.CBW_TIMEOUT_DEFAULT,
        new SnapshotRequest.Increment(
            checkpoint,
            Optional.empty(),
            since,
            Optional.empty(),
            one(List.of(SnapshotRequest.Outside.values())),
            one(List.of(SnapshotRequest.Bitmaps.values()))),
        new SnapshotRequest.Lifetime(
            below(4) == 0 ? Optional.of(Duration.ofSeconds(1L + below(5))) : Optional.empty(),
            below(6) == 0 ? Optional.of(Duration.ofSeconds(1L + below(5))) : Optional.empty(),
            quota
                ? Optional.of((1L + below(20)) * SimulatedMachine.CLUSTER_BYTES)
                : Optional.empty()));
  }
}
