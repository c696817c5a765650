// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/// Disks that are backed up together, over several runs of a server of whose I/O calls one fails,
/// and what must be true of them after each step. The bitmaps of the last disk are in memory.
final class FailedTransactions {
  private static final List<String> DISKS = List.of("vda", "vdb", "vdc");
  private static final int SCRATCH_CLUSTERS = 64;

  private final Path folder;
  private final NthCall nth;
  private final List<ChainedDisk> disks = new ArrayList<>();
  private @Nullable FailedCallRig rig;

  /// Disks of which the run that serves, or the last one, has told that their state is lost.
  private Set<String> lost = Set.of();

  /// Commands.
  int refused;

  /// Backups of one disk that copied what was dirty only.
  int incremental;

  int statesLost;
  int inconsistent;

  FailedTransactions(Path folder, NthCall nth) {
    this.folder = folder;
    this.nth = nth;
    for (String name : DISKS) {
      disks.add(new ChainedDisk(name, !name.equals(DISKS.getLast()), nth));
    }
  }

  /// What a backup does with bitmaps of each disk at the instant of its snapshot, and what that
  /// makes of what must be in them.
  interface BitmapChange {
    void of(ChainedDisk disk, List<TransactionAction> actions, Map<String, Marks> marks);
  }

  private FailedCallRig rig() {
    if (rig == null) {
      throw new IllegalStateException("no server runs");
    }
    return rig;
  }

  private FleecingEngine engine() {
    return rig().engine;
  }

  /// Starts a server.
  ///
  /// @return whether it serves; else it said why
  boolean open() throws IOException {
    FailedCallRig opened;
    try {
      opened =
          new FailedCallRig(
              folder,
              SCRATCH_CLUSTERS,
              OnCbwError.BREAK_SNAPSHOT,
              nth,
              Optional.of(
                  new CountedStates(
                      folder.resolve("state"),
                      nth::meet,
                      config ->
                          disks.stream()
                              .filter(disk -> disk.name().equals(config.name()))
                              .findFirst()
                              .flatMap(ChainedDisk::identity))));
    } catch (IOException e) {
      assertTrue(nth.failed().isPresent(), () -> "not opened: " + e);
      return false;
    }
    Set<String> told = ConcurrentHashMap.newKeySet();
    lost = told;
    var _ =
        opened.engine.subscribe(
            event -> {
              if (event instanceof EngineEvent.StateLost loss) {
                told.add(loss.disk());
              }
            });
    try {
      for (ChainedDisk disk : disks) {
        disk.guest.addTo(opened.engine);
      }
    } catch (IOException e) {
      assertTrue(nth.failed().isPresent(), () -> "not opened: " + e);
      opened.close();
      forgetLost();
      return false;
    }
    rig = opened;
    for (ChainedDisk disk : disks) {
      inconsistent += disk.recover(engine().bitmaps(disk.name()));
    }
    assertTrue(inconsistent == 0 || nth.failed().isPresent(), "inconsistent for no reason");
    look();
    return true;
  }

  /// Stops the server.
  void close() throws IOException {
    Set<String> pending = new HashSet<>();
    engine().takenSnapshots().forEach(snapshot -> snapshot.checkpoint().ifPresent(pending::add));
    for (ChainedDisk disk : disks) {
      disk.kept.clear();
      for (BitmapInfo info : engine().bitmaps(disk.name())) {
        if (info.persistent() && !pending.contains(info.name())) {
          disk.kept.add(info.name());
        }
      }
    }
    FailedCallRig closing = rig();
    if (closing.engine.snapshots().isEmpty()) {
      closing.assertNothingLeft();
    }
    rig = null;
    closing.close();
    forgetLost();
  }

  private void forgetLost() {
    for (ChainedDisk disk : disks) {
      if (lost.contains(disk.name())) {
        assertTrue(nth.failed().isPresent(), "lost for no reason");
        statesLost++;
        disk.kept.clear();
      }
    }
  }

  /// The guests write three clusters each time, or part of them.
  void write(int... clusters) {
    for (ChainedDisk disk : disks) {
      for (int cluster : clusters) {
        disk.write(cluster);
      }
    }
  }

  /// Backs the disks up as they are at one instant, while they are written to: what has changed
  /// since the last time, where that is known.
  ///
  /// @return whether it came to its end
  boolean backUp(String snapshot, String checkpoint, BitmapChange change) throws IOException {
    List<TransactionAction> actions = new ArrayList<>();
    Map<String, Optional<String>> since = new HashMap<>();
    Map<String, Map<String, Marks>> after = new HashMap<>();
    Map<String, byte[]> truth = new HashMap<>();
    for (ChainedDisk disk : disks) {
      Map<String, Marks> marks = new HashMap<>(disk.marks);
      change.of(disk, actions, marks);
      marks.put(checkpoint, new Marks());
      after.put(disk.name(), marks);
      since.put(disk.name(), disk.base);
      truth.put(disk.name(), disk.guest.expected.clone());
    }
    Increment increment =
        new Increment(
            Optional.of(checkpoint),
            Optional.empty(),
            since,
            Optional.empty(),
            SnapshotRequest.Outside.DATA);
    actions.add(new TransactionAction.TakeSnapshot(rig().request(snapshot, increment, DISKS)));
    if (!isCarriedOut(() -> EngineRig.get(engine().transact(actions)))) {
      return false;
    }
    disks.forEach(disk -> disk.marks = after.getOrDefault(disk.name(), Map.of()));
    look();
    write(1, 6, 18, 27);
    rig().retry();
    boolean whole = true;
    for (ChainedDisk disk : disks) {
      disk.guest.flush();
      List<Integer> wanted =
          disk.base.isPresent() ? rig().wanted(snapshot, disk.name()) : disk.guest.allOffsets();
      incremental += disk.base.isPresent() ? 1 : 0;
      byte[] frozen = truth.getOrDefault(disk.name(), new byte[0]);
      whole &= disk.copy(rig().view(snapshot, disk.name()), frozen, wanted);
    }
    return end(snapshot, checkpoint, whole);
  }

  private boolean end(String snapshot, String checkpoint, boolean whole) throws IOException {
    ReleaseOutcome outcome = whole ? ReleaseOutcome.SUCCESS : ReleaseOutcome.FAILED;
    if (!isCarriedOut(() -> engine().release(snapshot, outcome))) {
      return false;
    }
    for (ChainedDisk disk : disks) {
      if (whole) {
        disk.backedUp(checkpoint);
      } else {
        disk.marks.remove(checkpoint);
      }
    }
    look();
    return true;
  }

  private interface Command {
    Object run() throws IOException;
  }

  /// Whether a command was carried out, at the second attempt if need be. If not, it has changed
  /// nothing, and a state is lost that it would need.
  private boolean isCarriedOut(Command command) throws IOException {
    for (int attempt = 1; ; attempt++) {
      List<Object> before = picture();
      boolean failedBefore = nth.failed().isPresent();
      try {
        var _ = command.run();
        return true;
      } catch (IOException e) {
        refused++;
        assertEquals(before, picture(), () -> "half of a transaction: " + e);
        if (failedBefore || attempt == 2) {
          Awaitility.await("a lost state as the reason of: " + e)
              .pollInterval(Duration.ofMillis(1))
              .until(this::hasLostState);
          return false;
        }
        String call = nth.failed().orElseThrow(() -> new AssertionError("refused", e));
        assertFalse(call.matches(".* scratch|(read|write|status) vd."), () -> call + ": " + e);
      }
    }
  }

  private boolean hasLostState() {
    return disks.stream()
        .filter(disk -> disk.keepsState)
        .anyMatch(disk -> engine().disk(disk.name()).orElseThrow().tracking().state().isEmpty());
  }

  /// All that a command that is refused must leave as it was.
  private List<Object> picture() throws IOException {
    return nth.aside(this::everything);
  }

  private List<Object> everything() throws IOException {
    List<Object> all = new ArrayList<>();
    for (ChainedDisk disk : disks) {
      for (BitmapInfo info : engine().bitmaps(disk.name())) {
        all.add(disk.name());
        all.add(info);
        all.add(dirty(disk, info));
      }
    }
    all.add(engine().snapshots().stream().map(SnapshotStatus::name).toList());
    return all;
  }

  /// Offsets of clusters; none when it cannot be told.
  private Optional<Set<Integer>> dirty(ChainedDisk disk, BitmapInfo info) throws IOException {
    try {
      GranuleSet set = engine().dirtySince(disk.name(), info.name());
      return Optional.of(new TreeSet<>(FailedCallRig.clusters(set)));
    } catch (BitmapException e) {
      assertEquals(BitmapException.Reason.INCONSISTENT, e.reason());
      assertTrue(inconsistent > 0, () -> "inconsistent for no reason: " + e);
      return Optional.empty();
    }
  }

  /// Each bitmap that can be used holds what was written, and no more.
  private void look() throws IOException {
    for (ChainedDisk disk : disks) {
      for (BitmapInfo info : engine().bitmaps(disk.name())) {
        nth.aside(() -> dirty(disk, info)).ifPresent(dirty -> disk.judge(info, dirty));
      }
    }
  }
}
