// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.fleecing.graph.GraphEngine.GraphDisk;
import io.nbdfleece.fleecing.graph.Node.Owner;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/// Proxmox's contract with backup programs: an access freezes devices for one *target*, a place
/// that backups go to, which has an incremental chain of its own. Called by one thread at a time.
public final class BackupAccess {
  /* Each access that wants a bitmap starts the checkpoint TARGET.N. What a success leaves is the
   * one that the next access with mode USE starts from; a failure leaves none, and the one before
   * stands. So the chain needs no memory here, and outlives the process where checkpoints do.
   * Where there is no checkpoint to start from, all is dirty: a bitmap TARGET.all says so as long
   * as the access lasts. */
  private static final System.Logger LOG = System.getLogger("nbdfleece.backup");
  private static final Duration CBW_TIMEOUT = Duration.ofSeconds(45);

  private final GraphEngine engine;

  @GuardedBy("this")
  private final Map<String, Access> accesses = new LinkedHashMap<>();

  BackupAccess(GraphEngine engine) {
    this.engine = engine;
  }

  /// What a backup program wants of a device.
  public record Device(String device, BitmapMode mode) {}

  /// How changes since the last backup are told.
  public enum BitmapMode {
    /// Not at all; what was known is forgotten.
    NONE,
    /// All has changed; what was known is forgotten.
    NEW,
    /// Since the last backup to this target that succeeded.
    USE
  }

  /// What became of it.
  public enum BitmapAction {
    NOT_USED,
    NOT_USED_REMOVED,
    NEW,
    USED,
    /// There was one, but what it holds is not known: all counts as changed.
    INVALID,
    /// There was none to use: all counts as changed.
    MISSING_RECREATED
  }

  /// A device that was frozen.
  ///
  /// @param nodeName a `snapshot-access` node
  /// @param bitmapName a bitmap of that node, unless the mode was NONE
  public record Frozen(
      String nodeName,
      String device,
      long sizeBytes,
      Optional<String> bitmapName,
      BitmapAction action) {}

  record Opened(List<Node> nodes, List<Frozen> infos) {
    Opened {
      nodes = List.copyOf(nodes);
      infos = List.copyOf(infos);
    }
  }

  /// @param checkpoint started by it
  private record Access(
      String target, String snapshot, Optional<String> checkpoint, List<Plan> plans) {}

  /// @param removed checkpoints that are not needed from now on
  /// @param since what is exported as changed
  private record Plan(
      GraphDisk disk,
      BitmapMode mode,
      BitmapAction action,
      List<String> removed,
      Optional<String> since,
      String nodeName) {}

  synchronized Opened open(String target, List<Device> devices, NodeTable table)
      throws IOException {
    if (accesses.containsKey(target)) {
      throw GraphException.busy("previous backup for target '" + target + "' not finished");
    }
    if (devices.isEmpty()) {
      throw GraphException.invalid("Parameter 'devices' expects at least one device");
    }
    long number = 1;
    List<Plan> plans = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    Set<String> nodeNames = new HashSet<>();
    for (Device device : devices) {
      GraphDisk disk =
          engine
              .disk(device.device())
              .filter(GraphDisk::isDevice)
              .orElseThrow(() -> GraphException.noDevice(device.device()));
      if (!seen.add(disk.name())) {
        throw GraphException.invalid("Device '" + disk.name() + "' is given twice");
      }
      List<CheckpointInfo> known = checkpoints(target, disk.name());
      for (CheckpointInfo checkpoint : known) {
        number = Math.max(number, numberOf(target, checkpoint.name()) + 1);
      }
      String nodeName = freeName(disk.name(), table, nodeNames);
      nodeNames.add(nodeName);
      plans.add(plan(target, disk, device.mode(), known, nodeName));
    }
    Optional<String> checkpoint =
        plans.stream().allMatch(plan -> plan.mode() == BitmapMode.NONE)
            ? Optional.empty()
            : Optional.of(target + "." + number);
    Access access = new Access(target, snapshotName(target), checkpoint, plans);
    engine.transact(setup(access));
    accesses.put(target, access);
    return opened(access);
  }

  private Plan plan(
      String target, GraphDisk disk, BitmapMode mode, List<CheckpointInfo> known, String node) {
    List<String> standing =
        known.stream()
            .filter(checkpoint -> checkpoint.pendingSnapshot().isEmpty())
            .map(CheckpointInfo::name)
            .toList();
    Optional<String> all = Optional.of(allDirty(target));
    return switch (mode) {
      case NONE ->
          new Plan(
              disk,
              mode,
              standing.isEmpty() ? BitmapAction.NOT_USED : BitmapAction.NOT_USED_REMOVED,
              standing,
              Optional.empty(),
              node);
      case NEW -> new Plan(disk, mode, BitmapAction.NEW, standing, all, node);
      case USE -> {
        if (standing.isEmpty()) {
          yield new Plan(disk, mode, BitmapAction.MISSING_RECREATED, standing, all, node);
        }
        boolean inconsistent =
            known.stream().anyMatch(c -> c.name().equals(standing.getLast()) && c.inconsistent());
        yield inconsistent
            ? new Plan(disk, mode, BitmapAction.INVALID, standing, all, node)
            : new Plan(
                disk, mode, BitmapAction.USED, List.of(), Optional.of(standing.getLast()), node);
      }
    };
  }

  private List<TransactionAction> setup(Access access) throws IOException {
    List<TransactionAction> actions = new ArrayList<>();
    Map<String, Optional<String>> since = new LinkedHashMap<>();
    String all = allDirty(access.target());
    for (Plan plan : access.plans()) {
      String disk = plan.disk().name();
      since.put(disk, plan.since());
      plan.removed()
          .forEach(name -> actions.add(new TransactionAction.DeleteCheckpoint(disk, name)));
      if (plan.since().equals(Optional.of(all))) {
        BitmapRef bitmap = new BitmapRef(disk, all);
        if (engine.bitmaps(disk).stream().anyMatch(known -> known.name().equals(all))) {
          actions.add(new TransactionAction.RemoveBitmap(bitmap));
        }
        actions.add(new TransactionAction.AddBitmap(bitmap, OptionalInt.empty(), false, true));
        actions.add(
            new TransactionAction.MarkDirty(
                bitmap, List.of(new TransactionAction.Range(0, plan.disk().sizeBytes()))));
      }
    }
    actions.add(
        new TransactionAction.TakeSnapshot(
            new SnapshotRequest(
                access.plans().stream().map(plan -> plan.disk().name()).toList(),
                Optional.of(access.snapshot()),
                SnapshotRequest.Access.DISCARD,
                SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
                CBW_TIMEOUT,
                new Increment(
                    access.checkpoint(),
                    Optional.empty(),
                    since,
                    access.checkpoint().map(_ -> access.target()),
                    Outside.ERROR),
                SnapshotRequest.Lifetime.UNTIL_RELEASED)));
    return actions;
  }

  private static Opened opened(Access access) {
    List<Node> nodes = new ArrayList<>();
    List<Frozen> infos = new ArrayList<>();
    for (Plan plan : access.plans()) {
      String disk = plan.disk().name();
      nodes.add(
          new Node(
              plan.nodeName(),
              new Driver.SnapshotAccess(new Child.Reference(disk)),
              disk,
              Optional.of(disk),
              Optional.empty(),
              false,
              Owner.ACCESS,
              Optional.of(access.snapshot())));
      infos.add(
          new Frozen(
              plan.nodeName(),
              disk,
              plan.disk().sizeBytes(),
              plan.since().map(_ -> access.target()),
              plan.action()));
    }
    return new Opened(nodes, infos);
  }

  /// The nodes of a target's access.
  synchronized List<String> nodesOf(String target) throws GraphException {
    Access access = accesses.get(target);
    if (access == null) {
      if (accesses.isEmpty()) {
        return List.of();
      }
      throw GraphException.invalid(
          "cannot teardown backup access - got target "
              + target
              + " instead of "
              + ShownNames.list(accesses.keySet()));
    }
    return access.plans().stream().map(Plan::nodeName).toList();
  }

  synchronized boolean isOpen(String target) {
    return accesses.containsKey(target);
  }

  /// Ends an access; nothing when there is none. When that fails and its snapshot lives on, so does
  /// the access, to be closed once more.
  synchronized void close(String target, ReleaseOutcome outcome) throws IOException {
    Access access = accesses.get(target);
    if (access == null) {
      return;
    }
    boolean lives = engine.hasSnapshot(access.snapshot());
    boolean succeeded = false;
    try {
      if (lives) {
        release(access, outcome);
        succeeded = outcome == ReleaseOutcome.SUCCESS;
      }
    } finally {
      if (!engine.hasSnapshot(access.snapshot())) {
        accesses.remove(target);
        tidy(access, succeeded);
      }
    }
    if (!lives && outcome == ReleaseOutcome.SUCCESS) {
      throw new GraphException(
          GraphException.Reason.NOT_FOUND,
          "backup access for target '"
              + target
              + "': its snapshot '"
              + access.snapshot()
              + "' has ended before, so the backup does not count as a success: the next one covers"
              + " what this one would have");
    }
  }

  /// A success that is refused (the snapshot is broken, the chain cannot be stored) is a failure:
  /// the access ends, and the checkpoint before stands.
  private void release(Access access, ReleaseOutcome outcome) throws IOException {
    try {
      engine.release(access.snapshot(), access.checkpoint().map(_ -> outcome));
    } catch (IOException | RuntimeException e) {
      if (outcome == ReleaseOutcome.SUCCESS && engine.hasSnapshot(access.snapshot())) {
        try {
          engine.release(access.snapshot(), access.checkpoint().map(_ -> ReleaseOutcome.FAILED));
        } catch (IOException | RuntimeException undoing) {
          e.addSuppressed(undoing);
        }
      }
      throw e;
    }
  }

  /* What is left over costs a little memory and is looked after by the next access, so that it is
   * no reason to call the backup a failure. */
  private void tidy(Access access, boolean succeeded) {
    for (Plan plan : access.plans()) {
      String disk = plan.disk().name();
      List<TransactionAction> actions = new ArrayList<>();
      try {
        String all = allDirty(access.target());
        if (plan.since().equals(Optional.of(all))) {
          actions.add(new TransactionAction.RemoveBitmap(new BitmapRef(disk, all)));
        }
        for (CheckpointInfo checkpoint : checkpoints(access.target(), disk)) {
          boolean isNew = access.checkpoint().equals(Optional.of(checkpoint.name()));
          boolean wanted = isNew ? succeeded && plan.mode() != BitmapMode.NONE : !succeeded;
          if (!wanted && checkpoint.pendingSnapshot().isEmpty()) {
            actions.add(new TransactionAction.DeleteCheckpoint(disk, checkpoint.name()));
          }
        }
        if (!actions.isEmpty()) {
          engine.transact(actions);
        }
      } catch (IOException e) {
        LOG.log(
            System.Logger.Level.WARNING,
            "backup access {0}, disk {1}: not tidied up: {2}",
            access.target(),
            disk,
            e.getMessage());
      }
    }
  }

  /// The target's own checkpoints, oldest first.
  private List<CheckpointInfo> checkpoints(String target, String disk) throws IOException {
    return engine.checkpoints(disk).stream()
        .filter(checkpoint -> numberOf(target, checkpoint.name()) >= 0)
        .toList();
  }

  /// N of TARGET.N; -1 = it belongs to somebody else.
  private static long numberOf(String target, String checkpoint) {
    String prefix = target + ".";
    String digits = checkpoint.startsWith(prefix) ? checkpoint.substring(prefix.length()) : "";
    return digits.matches("[0-9]{1,18}") ? Long.parseLong(digits) : -1;
  }

  private static String allDirty(String target) {
    return target + ".all";
  }

  /// A snapshot's name cannot have all characters that a target may.
  private String snapshotName(String target) {
    String name = "access-" + target.replaceAll("[^A-Za-z0-9._-]", "_");
    name = name.substring(0, Math.min(name.length(), 200));
    String free = name;
    for (int i = 2; engine.hasSnapshot(free); i++) {
      free = name + "-" + i;
    }
    return free;
  }

  private String freeName(String disk, NodeTable table, Set<String> taken) {
    String name = "access-" + disk;
    String free = name;
    for (int i = 2;
        taken.contains(free) || table.node(free).isPresent() || engine.disk(free).isPresent();
        i++) {
      free = name + "-" + i;
    }
    return free;
  }
}
