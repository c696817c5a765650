// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// One disk as it was when a snapshot was taken: each cluster from the store if it has been
/// preserved, else from the disk. Any thread; nothing waits. A view that has ended, by a failure or
/// a release, never yields data again (I7).
public final class SnapshotView {
  /// What every failed read of a view that broke says, and no other failure.
  public static final String BROKEN_TEXT = " is broken and yields no data any more";

  /// What every failed read of a view that was released says, and of a cluster that was.
  public static final String RELEASED_TEXT = "was released";

  /// What every failed read of a cluster says that the client itself has released.
  public static final String RELEASED_BY_CLIENT_TEXT = RELEASED_TEXT + " by its client";

  /// As many ranges are named as lost; how much is lost in all is told in bytes.
  private static final int LOST_RANGES_MAX = 100;

  /// Clusters looked at in one go under the lock, so that no guest write waits long.
  private static final int LOOKED_AT_MAX = 16_384;

  private final FleecingHook hook;
  private final Epoch epoch;

  SnapshotView(FleecingHook hook, Epoch epoch) {
    this.hook = hook;
    this.epoch = epoch;
  }

  public long sizeBytes() {
    return hook.sizeBytes();
  }

  public SnapshotTerms terms() {
    return epoch.terms;
  }

  /// Fills `target` with the frozen bytes at `offsetBytes`, and with zeroes where it is outside of
  /// a snapshot of a part that was taken so. Fails, with a message that says why, for a cluster
  /// that was released or lost or is outside otherwise, and when the view has ended.
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    new FrozenRead(hook, epoch, offsetBytes, target, done).start();
  }

  /// The client has this range and will not read it again (NBD_CMD_TRIM on a snapshot): its copies
  /// are freed, whole clusters of it are not preserved any more, and reading them fails. Ranges
  /// smaller than a cluster add up.
  public void discard(long offsetBytes, long lengthBytes, Completion done) {
    long endBytes = offsetBytes + lengthBytes;
    long sliceBytes = (long) LOOKED_AT_MAX * hook.geometry().clusterBytes();
    IOException refused = null;
    for (long start = offsetBytes; start < endBytes && refused == null; ) {
      // Slices end where clusters do, so that these are released whole.
      long sliceEnd = Math.min(endBytes, (start / sliceBytes + 1) * sliceBytes);
      refused = releaseSlice(start, sliceEnd);
      start = sliceEnd;
    }
    if (refused == null) {
      done.succeeded();
    } else {
      done.failed(refused);
    }
  }

  /// Returns why not, if so.
  private @Nullable IOException releaseSlice(long startBytes, long endBytes) {
    Aftermath after = new Aftermath(hook);
    IOException refused = null;
    hook.lock.lock();
    try {
      if (epoch.endedBecause != null) {
        refused = ended(epoch);
      } else {
        hook.releaseRange(epoch, startBytes, endBytes, after);
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
    return refused;
  }

  /// A hint that the range is going to be read (NBD_CMD_CACHE): as much of it as there is spare
  /// room for is brought into RAM. It takes no room from what is preserved, and gives way to it.
  /// Succeeds also when there is no room or the disk cannot be read; fails when the view has ended.
  public void prefetch(long offsetBytes, long lengthBytes, Completion done) {
    new Prefetch(hook, epoch, offsetBytes, lengthBytes, done).step();
  }

  /// Holes of the frozen view: where the disk has a hole and nothing was preserved, where a zero
  /// cluster was preserved, and what is outside and reads as zeroes. Other clusters outside, and
  /// released and lost ones, count as data.
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    hook.child()
        .status(
            offsetBytes,
            lengthBytes,
            extentsMax,
            new ExtentsCompletion() {
              @Override
              public void succeeded(List<BlockExtent> extents) {
                new FrozenLayout(hook, epoch).overlay(offsetBytes, extents, extentsMax, done);
              }

              @Override
              public void failed(IOException error) {
                done.failed(error);
              }
            });
  }

  /// Where the content of a range is at this moment. May cover less than asked; at least one
  /// extent.
  ///
  /// @param extentsMax no more extents than this are wanted, at least 1
  /// @throws SnapshotEndedException when the view has ended
  public List<FrozenExtent> sources(long offsetBytes, long lengthBytes, int extentsMax)
      throws IOException {
    return new FrozenLayout(hook, epoch).sources(offsetBytes, lengthBytes, extentsMax);
  }

  /// Ends the view and frees its copies. Idempotent.
  public void release() {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      hook.end(epoch, RELEASED_TEXT, false, after);
    } finally {
      hook.lock.unlock();
    }
    after.run();
  }

  /// Breaks the view, for good, and frees its copies; nothing if it has ended already. Writes that
  /// waited for a copy go on elsewhere.
  void breakBecause(String reason) {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      hook.end(epoch, reason, true, after);
    } finally {
      hook.lock.unlock();
    }
    after.runElsewhere();
  }

  /// Why it is broken, if it is.
  public Optional<String> brokenBecause() {
    hook.lock.lock();
    try {
      return epoch.broken ? Optional.ofNullable(epoch.endedBecause) : Optional.empty();
    } finally {
      hook.lock.unlock();
    }
  }

  /// What the view holds at this moment. Walks its clusters in slices, so that no guest write waits
  /// long.
  public ViewStatistics statistics() {
    ClusterGeometry geometry = hook.geometry();
    long inRam = 0;
    long onDisk = 0;
    long lost = 0;
    long released = 0;
    List<LostRange> lostRanges = new ArrayList<>();
    int cluster = 0;
    while (cluster < geometry.clusterCount()) {
      int sliceStart = cluster;
      hook.lock.lock();
      try {
        released = epoch.released.getLongCardinality() - epoch.outside.count();
        if (epoch.hasEnded()) {
          return new ViewStatistics(0, 0, 0, released * geometry.clusterBytes(), 0, List.of());
        }
        for (int n = 0; n < LOOKED_AT_MAX && cluster < geometry.clusterCount(); n++) {
          int sliceEnd =
              Math.min(geometry.clusterCount(), sliceStart + FrozenLayout.SLICE_CLUSTERS);
          cluster = hook.ledger.nextVersion(epoch, cluster, sliceEnd);
          if (cluster == sliceEnd) {
            break;
          }
          if (epoch.released.contains(cluster)) {
            cluster++; // somebody else's
            continue;
          }
          Part part = EpochLedger.part(epoch, cluster);
          if (hook.ledger.lacks(epoch, cluster)) {
            lost++;
            LostRange.append(lostRanges, geometry.offsetOf(cluster), geometry.lengthOf(cluster));
          } else {
            int ofPart = part == null ? ClusterMap.ABSENT : part.version();
            int ofWhole = hook.ledger.version(epoch, cluster);
            inRam += storedInRam(ofPart) + storedInRam(ofWhole);
            onDisk += storedOnDisk(ofPart) + storedOnDisk(ofWhole);
          }
          cluster++;
        }
      } finally {
        hook.lock.unlock();
      }
    }
    long unit = geometry.clusterBytes();
    return new ViewStatistics(
        (inRam + onDisk) * unit,
        inRam * unit,
        onDisk * unit,
        released * unit,
        lost * unit,
        lostRanges);
  }

  private int storedInRam(int version) {
    return ClusterMap.isEntry(version) ? 1 - storedOnDisk(version) : 0;
  }

  private int storedOnDisk(int version) {
    return ClusterMap.isEntry(version)
            && hook.store().tierOf(ClusterMap.entryOf(version)) == Tier.DISK
        ? 1
        : 0;
  }

  /// Bytes of whole clusters; a short last cluster counts as a whole one.
  ///
  /// @param preservedBytes stored for this view, shared ones and those preserved in part included,
  ///   zero clusters not; more than the disk has where a part and the rest are stored apart
  /// @param ramBytes of these, in RAM
  /// @param diskBytes of these, in the disk tier
  /// @param releasedBytes released by the client
  /// @param lostBytes could not be read when they had to be preserved, or from the store
  /// @param lostRanges the first 100 ranges of these, in order
  public record ViewStatistics(
      long preservedBytes,
      long ramBytes,
      long diskBytes,
      long releasedBytes,
      long lostBytes,
      List<LostRange> lostRanges) {
    public ViewStatistics {
      lostRanges = List.copyOf(lostRanges);
    }
  }

  /// What the view lacks: reading it fails.
  public record LostRange(long offsetBytes, long lengthBytes) {
    private long endBytes() {
      return offsetBytes + lengthBytes;
    }

    /// Adds one that does not come before the others; neighbours become one.
    private static void append(List<LostRange> ranges, long offsetBytes, long lengthBytes) {
      if (!ranges.isEmpty() && ranges.getLast().endBytes() == offsetBytes) {
        LostRange last = ranges.removeLast();
        ranges.add(new LostRange(last.offsetBytes, last.lengthBytes + lengthBytes));
      } else if (ranges.size() < LOST_RANGES_MAX) {
        ranges.add(new LostRange(offsetBytes, lengthBytes));
      }
    }
  }

  static boolean isReadOnce(Epoch epoch) {
    return epoch.terms.access() == Access.READ_ONCE;
  }

  /// What a client is told once the view has ended.
  static IOException ended(Epoch epoch) {
    String name = "snapshot " + epoch.terms.name();
    return new SnapshotEndedException(
        epoch.broken
            ? name + BROKEN_TEXT + ": " + epoch.endedBecause
            : name + " " + epoch.endedBecause,
        epoch.broken);
  }
}
