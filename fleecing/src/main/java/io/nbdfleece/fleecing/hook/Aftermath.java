// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import java.util.ArrayList;
import java.util.List;

/// What a step decided under the hook's lock and does after letting go of it: no I/O, no callback
/// and no foreign code runs under the lock. Used by one thread.
final class Aftermath {
  final EntryList freed = new EntryList();
  private final List<ClusterMap> freedMaps = new ArrayList<>(0);
  private final List<GuestWrite> ready = new ArrayList<>(2);
  private final List<Runnable> events = new ArrayList<>(0);

  /// The write has nothing left to wait for.
  void resume(GuestWrite write) {
    ready.add(write);
  }

  /// All versions of this map; nobody else uses it any more.
  void free(ClusterMap versions) {
    freedMaps.add(versions);
  }

  void tell(Runnable event) {
    events.add(event);
  }

  /// Called without the lock. Writes go first: freeing may take a while.
  void run(ClusterStore store) {
    for (Runnable event : events) {
      event.run();
    }
    for (GuestWrite write : ready) {
      write.hook().proceed(write);
    }
    for (ClusterMap versions : freedMaps) {
      versions.collectEntries(freed);
    }
    if (freed.count() > 0) {
      store.release(freed.array(), freed.count());
    }
  }
}
