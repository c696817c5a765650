// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentHashMap;

/// The views that have bitmaps of their own, by name, beside the disks. A view is never written, so
/// only commands mark something in its bitmaps, whether they record or not; they are kept in
/// memory, and go with it.
///
/// **Threads.** Any thread.
public final class BitmapViews {
  private static final String VOLATILE_BECAUSE = "the bitmaps of a view go with it";

  private final Map<String, BitmapOwner> byName = new ConcurrentHashMap<>();

  BitmapViews() {}

  /// Whose bitmaps they are: a view's, or a disk's.
  ///
  /// @param users who has a bitmap of it in use
  record BitmapOwner(DiskTracking tracking, DiskUsers users) {}

  /// Adds a view without bitmaps, instead of whichever had that name. The name must be no disk's.
  public void add(String name, long sizeBytes) {
    DiskTracking tracking =
        new DiskTracking(
            _ -> {},
            DiskBitmaps.of(name, sizeBytes, List.of()),
            Optional.empty(),
            VOLATILE_BECAUSE,
            false);
    byName.put(name, new BitmapOwner(tracking, new DiskUsers()));
  }

  /// Takes it away, if it is there. A transaction about it whose turn has not come fails; who has a
  /// bitmap of it in use keeps that.
  public void remove(String name) {
    BitmapOwner view = byName.remove(name);
    if (view != null) {
      view.tracking().markRemoved();
    }
  }

  /// Its size, if there is one of that name.
  public OptionalLong sizeBytes(String name) {
    BitmapOwner view = byName.get(name);
    return view == null
        ? OptionalLong.empty()
        : OptionalLong.of(view.tracking().current().sizeBytes());
  }

  /// Whether somebody has a bitmap of it in use.
  public boolean isInUse(String name) {
    BitmapOwner view = byName.get(name);
    return view != null && view.tracking().isUsed();
  }

  Optional<BitmapOwner> find(String name) {
    return Optional.ofNullable(byName.get(name));
  }
}
