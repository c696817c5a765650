// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.RacedPlay.Effect;
import io.nbdfleece.fleecing.RacedPlay.FrozenPart;
import io.nbdfleece.fleecing.RacedPlay.Span;
import io.nbdfleece.fleecing.hook.SnapshotEndedException;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Says of one round of a [PairRace] whether what came of it is one of the legal outcomes. The disk
/// and the snapshots are byte arrays here.
final class RaceJudge {
  private final PairRace race;
  private final byte[] frozen;
  private final byte[] before;
  private final byte[] after;
  private final List<RacedPlay> plays;

  /// What the snapshots that began during the race show, by name, as soon as that is known.
  private final Map<String, byte[]> late = new HashMap<>();

  /// @param frozen what the snapshot shows that was there before the race
  /// @param before the disk before the race
  /// @param after the disk after it
  RaceJudge(
      PairRace race, byte[] frozen, byte[] before, byte[] after, RacedPlay one, RacedPlay other) {
    this.race = race;
    this.frozen = frozen;
    this.before = before;
    this.after = after;
    this.plays = List.of(one, other);
  }

  private RacedPlay otherThan(RacedPlay play) {
    return plays.get(1 - plays.indexOf(play));
  }

  private boolean released() {
    return plays.stream()
        .anyMatch(play -> play.operation == RacedOperation.RELEASE && !play.isRefused());
  }

  /// Whatever was refused had a reason, and says it.
  void refusals() {
    for (RacedPlay play : plays) {
      RacedOperation other = otherThan(play).operation;
      for (IOException refusal : play.refusals) {
        String text = EngineRig.message(refusal);
        assertTrue(
            play.operation.mayBeRefusedBy(other) && !text.contains("internal error"),
            () -> play.operation + " was refused: " + refusal);
        if (play.operation == RacedOperation.SNAPSHOT_READ
            && !(refusal instanceof SnapshotEndedException)) {
          String reason =
              other == RacedOperation.DISCARD ? "was released by its client" : "stopped";
          assertTrue(text.contains(reason), () -> "a read was refused: " + refusal);
        }
      }
    }
    if (plays.stream().allMatch(play -> play.operation == RacedOperation.RELEASE)) {
      assertEquals(
          1, plays.stream().filter(RacedPlay::isRefused).count(), "releases that were refused");
    }
  }

  /// The snapshot yielded what was frozen, or nothing.
  void reads() {
    for (RacedPlay play : plays) {
      for (FrozenPart part : play.yielded) {
        requireFrozen("a read", part);
      }
    }
  }

  private void requireFrozen(String what, FrozenPart part) {
    int end = part.offsetBytes() + part.bytes().length;
    int mismatch =
        Arrays.mismatch(Arrays.copyOfRange(frozen, part.offsetBytes(), end), part.bytes());
    assertEquals(
        -1, mismatch, () -> what + " at " + part.offsetBytes() + " is not what was frozen");
  }

  /// Each byte is what one of the changes left there; where two met, either's.
  void disk() {
    assertEquals(PairRace.SIZE, after.length, "the size of the disk");
    List<Effect> effects = effects();
    for (int at = 0; at < PairRace.SIZE; at++) {
      if (!isLegal(at, effects)) {
        fail("byte " + at + " of the disk: was " + before[at] + ", is " + after[at]);
      }
    }
  }

  private List<Effect> effects() {
    List<Effect> effects = new ArrayList<>();
    plays.forEach(play -> play.effect().ifPresent(effects::add));
    return effects;
  }

  private boolean isLegal(int at, List<Effect> effects) {
    boolean mayKeep = true;
    for (Effect effect : effects) {
      Span span = effect.span();
      if (at >= span.offsetBytes() && at < span.endBytes()) {
        if (after[at] == effect.bytes()[at - span.offsetBytes()]) {
          return true;
        }
        mayKeep &= effect.mayKeep();
      }
    }
    return mayKeep && after[at] == before[at];
  }

  /// The store has the sizes that it was given, or those from before when that was refused.
  void sizes() {
    List<Long> legal = new ArrayList<>();
    plays.stream()
        .filter(play -> play.operation == RacedOperation.CACHE_RESIZE && !play.isRefused())
        .forEach(play -> legal.add(play.ramBytes + play.scratchBytes));
    if (legal.isEmpty()) {
      legal.add(PairRace.RAM_BYTES + PairRace.SCRATCH_BYTES);
    }
    EngineConfig config = race.rig().engine().config();
    long told = config.ramBytesMax() + config.scratchBytesMax();
    assertTrue(legal.contains(told), () -> "sizes: " + told + " (expected: one of " + legal + ")");
    StoreStatistics store = race.rig().engine().storeStatistics();
    assertEquals(told, store.ramBytesMax() + store.diskBytesMax(), "sizes of the store");
  }

  /// No change is missing from a bitmap that recorded it. One that was cleared meanwhile has all of
  /// it or nothing: each change is wholly before or wholly after.
  void bitmaps() throws IOException {
    Set<Integer> changed = changedClusters();
    requireAll(PairRace.KEPT, changed);
    boolean mayBeEmpty =
        plays.stream()
            .anyMatch(
                play ->
                    play.operation == RacedOperation.BITMAP_COMMAND
                        && play.command != RacedPlay.Command.MERGE_AWAY);
    if (!mayBeEmpty || !race.dirty(PairRace.BITMAP).isEmpty()) {
      requireAll(PairRace.BITMAP, changed);
    }
  }

  private void requireAll(String bitmap, Set<Integer> changed) throws IOException {
    List<Integer> dirty = race.dirty(bitmap);
    assertTrue(
        dirty.containsAll(changed),
        () -> "bitmap " + bitmap + " has " + dirty + ", and " + changed + " changed");
    Set<Integer> touched = new HashSet<>();
    for (Effect effect : effects()) {
      int last = (effect.span().endBytes() - 1) / PairRace.CLUSTER;
      for (int cluster = effect.span().offsetBytes() / PairRace.CLUSTER;
          cluster <= last;
          cluster++) {
        touched.add(cluster);
      }
    }
    assertTrue(
        touched.containsAll(dirty),
        () -> "bitmap " + bitmap + " has " + dirty + ", and only " + touched + " was touched");
  }

  private Set<Integer> changedClusters() {
    Set<Integer> changed = new HashSet<>();
    for (int at = 0; at < PairRace.SIZE; at++) {
      if (before[at] != after[at]) {
        changed.add(at / PairRace.CLUSTER);
      }
    }
    return changed;
  }

  /// What each snapshot shows, now and at any later time.
  void views() throws IOException {
    if (!released()) {
      base();
    }
    for (RacedPlay play : plays) {
      if (play.operation == RacedOperation.SNAPSHOT_START) {
        late(play.lateSnapshot());
      }
    }
  }

  private void base() throws IOException {
    SnapshotView view = race.base();
    if (view.brokenBecause().isPresent()) {
      assertTrue(
          RacedOperation.mayBreak(plays.getFirst().operation, plays.getLast().operation),
          () -> "broken: " + view.brokenBecause());
      SnapshotEndedException refused =
          assertThrows(
              SnapshotEndedException.class, () -> EngineRig.read(view, 0, PairRace.CLUSTER));
      assertTrue(refused.broken(), () -> "" + refused);
      return;
    }
    BitSet gone = new BitSet();
    plays.forEach(
        play -> play.discarded().ifPresent(span -> gone.set(span.offsetBytes(), span.endBytes())));
    for (int cluster = 0; cluster < PairRace.CLUSTERS; cluster++) {
      int start = cluster * PairRace.CLUSTER;
      int end = Math.min(PairRace.SIZE, start + PairRace.CLUSTER);
      if (gone.nextClearBit(start) >= end) {
        requireGone(view, start, end - start);
      } else {
        requireFrozen("cluster", new FrozenPart(start, EngineRig.read(view, start, end - start)));
      }
    }
  }

  private static void requireGone(SnapshotView view, int offset, int length) {
    IOException refused =
        assertThrows(
            IOException.class,
            () -> EngineRig.read(view, offset, length),
            () -> "the cluster at " + offset + " was discarded");
    assertTrue(
        EngineRig.message(refused).contains("was released by its client"), () -> "" + refused);
  }

  /// One instant: all of a change is in it, or nothing of it.
  private void late(String name) throws IOException {
    byte[] shown = EngineRig.read(race.rig().view(name, "vda"), 0, PairRace.SIZE);
    byte[] known = late.get(name);
    if (known != null) {
      assertEquals(-1, Arrays.mismatch(known, shown), () -> name + " does not stay as it was");
      return;
    }
    assertTrue(
        Arrays.equals(shown, before) || Arrays.equals(shown, after),
        () ->
            name
                + " differs from the disk before the race at "
                + Arrays.mismatch(shown, before)
                + ", and from the disk after it at "
                + Arrays.mismatch(shown, after));
    late.put(name, shown);
  }
}
