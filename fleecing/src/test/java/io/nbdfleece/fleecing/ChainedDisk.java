// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.FailingDisk.Pulled;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.hook.SnapshotView;
import io.nbdfleece.fleecing.state.DiskIdentity;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.zip.CRC32C;

/// A disk in memory with its chain of backups, and what must be in its bitmaps.
final class ChainedDisk {
  private static final int CLUSTER = FailingDisk.CLUSTER;
  private static final int CLUSTERS = 32;

  final FailingDisk guest;
  final boolean keepsState;

  /// By name of bitmap or checkpoint; of those that can be used.
  Map<String, Marks> marks = new HashMap<>();

  /// Names of the bitmaps and checkpoints that the next run of the server is to find.
  final Set<String> kept = new TreeSet<>();

  /// The checkpoint of the last backup that was whole.
  Optional<String> base = Optional.empty();

  private byte[] backup = new byte[0];

  /// What becomes of the backup when that which is being made is whole.
  private byte[] next = new byte[0];

  ChainedDisk(String name, boolean keepsState, NthCall calls) {
    this.guest = new FailingDisk(name, CLUSTERS, OnCbwError.BREAK_SNAPSHOT, calls);
    this.keepsState = keepsState;
  }

  String name() {
    return guest.name;
  }

  BitmapRef ref(String bitmap) {
    return new BitmapRef(name(), bitmap);
  }

  /// None when its state is not kept.
  Optional<DiskIdentity> identity() {
    return keepsState ? Optional.of(new MemoryIdentity(guest)) : Optional.empty();
  }

  private record MemoryIdentity(FailingDisk disk) implements DiskIdentity {
    @Override
    public long sizeBytes() {
      return disk.expected.length;
    }

    @Override
    public String identity() {
      return "memory of " + disk.name;
    }

    @Override
    public String stamp() {
      CRC32C checksum = new CRC32C();
      checksum.update(disk.node.content);
      return Long.toHexString(checksum.getValue());
    }
  }

  /// Compares with what the last run left, and goes on with what can be used.
  ///
  /// @return how many cannot
  int recover(List<BitmapInfo> found) {
    Set<String> names = new TreeSet<>();
    Set<String> usable = new TreeSet<>();
    for (BitmapInfo info : found) {
      names.add(info.name());
      if (!info.inconsistent()) {
        usable.add(info.name());
      }
    }
    assertEquals(kept, names, () -> "bitmaps of " + name());
    marks.keySet().retainAll(usable);
    if (!usable.equals(names) || base.filter(usable::contains).isEmpty()) {
      base = Optional.empty(); // else what was written since may lack a stretch
    }
    return names.size() - usable.size();
  }

  /// Writes that cluster and the next two, the first and the last one in part.
  void write(int cluster) {
    boolean written = guest.change(cluster * CLUSTER + 10, 2 * CLUSTER);
    int first = cluster * CLUSTER;
    List<Integer> touched = List.of(first, first + CLUSTER, first + 2 * CLUSTER);
    marks.values().forEach(each -> each.record(touched, written));
  }

  /// Copies those clusters over the last backup.
  ///
  /// @return whether all could be read
  boolean copy(SnapshotView view, byte[] truth, List<Integer> wanted) {
    Pulled pulled = guest.pull(view, truth, wanted);
    if (!pulled.isWhole()) {
      return false;
    }
    next = Arrays.copyOf(backup, truth.length);
    for (int offset : wanted) {
      System.arraycopy(pulled.copy, offset, next, offset, CLUSTER);
    }
    assertEquals(-1, Arrays.mismatch(truth, next), () -> name() + " lacks what was written");
    return true;
  }

  /// What was copied is a backup.
  void backedUp(String checkpoint) {
    backup = next;
    base = Optional.of(checkpoint);
  }

  /// Looks whether a bitmap holds what was written, and no more than the granules of that.
  void judge(BitmapInfo info, Set<Integer> dirty) {
    Marks needed = Optional.ofNullable(marks.get(info.name())).orElseThrow();
    Set<Integer> allowed = new TreeSet<>();
    for (int offset : needed.may) {
      int from = offset / info.granularityBytes() * info.granularityBytes();
      for (int at = from; at < from + info.granularityBytes(); at += CLUSTER) {
        allowed.add(at);
      }
    }
    assertTrue(
        dirty.containsAll(needed.must) && allowed.containsAll(dirty),
        () -> name() + " " + info + ": " + dirty + ", must be " + needed.must);
  }
}
