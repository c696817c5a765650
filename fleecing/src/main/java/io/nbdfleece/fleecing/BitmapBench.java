// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Live;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Sealed;
import io.nbdfleece.fleecing.bitmap.BitmapWork;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What the rehearsal of a transaction made and read for one disk, so that the performance, with
/// the disk drained, does no file I/O: it makes and reads the same in the same order.
///
/// **Threads.** One at a time, handed on with a happens-before.
final class BitmapBench implements BitmapWork {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final DiskTracking disk;
  private final List<Made> made = new ArrayList<>();
  private final Map<Sealed, GranuleSet> loaded = new HashMap<>();
  private final Map<Sealed, IOException> unreadable = new HashMap<>();
  private final Map<Since, GranuleSet> unions = new HashMap<>();
  private boolean performing;
  private Instant now;
  private int taken;
  private boolean readLive;

  private boolean sinceFreezeIsRead;
  private Optional<GranuleSet> sinceFreeze = Optional.empty();

  /// An array, and what it was asked for.
  private record Made(Live live, boolean persistent) {}

  /// @param at the instant of what is done before [#perform]
  BitmapBench(DiskTracking disk, Instant at) {
    this.disk = disk;
    this.now = at;
  }

  /// The rehearsal is over.
  ///
  /// @param at the instant of all that is done now
  void perform(Instant at) {
    performing = true;
    now = at;
    taken = 0;
    sinceFreezeIsRead = false; // there is more now
  }

  /// Whether the outcome is exact only with the disk drained.
  boolean needsDrain() {
    return readLive || !made.isEmpty();
  }

  /// Files made, which no list names before it is committed.
  List<String> files() {
    return made.stream().flatMap(each -> each.live().file().stream()).toList();
  }

  @Override
  public Live fresh(int granularityBytes, boolean persistent) throws IOException {
    if (performing) {
      if (taken == made.size() || !fits(made.get(taken), granularityBytes, persistent)) {
        throw new IllegalStateException("a transaction went another way than its rehearsal");
      }
      return made.get(taken++).live();
    }
    Live live = disk.fresh(granularityBytes, persistent);
    made.add(new Made(live, persistent));
    return live;
  }

  /* Memory that failed since the rehearsal may make the array of another bitmap the next one. A
   * file that no list names is dropped by the commit, so no bitmap that is not kept may get one;
   * without a state, which may have been lost since, nothing is committed. */
  private boolean fits(Made next, int granularityBytes, boolean persistent) {
    return next.live().bits().granularityBytes() == granularityBytes
        && (next.persistent() == persistent || disk.state().isEmpty());
  }

  @Override
  public GranuleSet read(TrackedBitmap bitmap) throws IOException {
    BitmapContent content = bitmap.content();
    readLive |= content instanceof Live;
    if (!(content instanceof Sealed sealed)) {
      return disk.read(bitmap);
    }
    IOException failure = unreadable.get(sealed);
    if (failure != null) {
      throw failure;
    }
    GranuleSet set = loaded.get(sealed);
    if (set == null) {
      set = load(bitmap, sealed);
      loaded.put(sealed, set);
    }
    return set;
  }

  private GranuleSet load(TrackedBitmap bitmap, Sealed sealed) throws IOException {
    try {
      return disk.read(bitmap);
    } catch (IOException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "what " + bitmap.name() + " of disk " + disk.name() + " holds cannot be read",
          e);
      unreadable.put(sealed, e);
      throw e;
    }
  }

  /// A configuration is equal to itself only.
  private record Since(DiskBitmaps bitmaps, String name) {}

  @Override
  public GranuleSet once(DiskBitmaps bitmaps, String name, Reading reading) throws IOException {
    Since key = new Since(bitmaps, name);
    GranuleSet union = unions.get(key);
    if (union == null) {
      union = reading.read();
      unions.put(key, union);
    }
    return union;
  }

  @Override
  public Instant now() {
    return now;
  }

  /// Read once for all that asks, for it takes long on a large disk, and nothing changes while the
  /// disk is drained.
  @Override
  public Optional<GranuleSet> sinceFreeze() {
    if (!sinceFreezeIsRead) {
      sinceFreeze = disk.sinceFreeze();
      sinceFreezeIsRead = true;
    }
    return sinceFreeze;
  }

  @Override
  public boolean inUse(String name) {
    // Whoever has it in use now may be gone at the end of the drain, but nobody new comes: claimed.
    return !performing && disk.inUse(name);
  }

  @Override
  public Optional<String> cannotPersist() {
    return disk.cannotPersist();
  }
}
