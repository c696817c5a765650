// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;

/// What a step decided under the hook's lock and does after letting go of it: no I/O, no callback
/// and no foreign code runs under the lock. Used by one thread.
final class Aftermath {
  private static final System.Logger LOG = System.getLogger(Aftermath.class.getName());

  /// More entries than this are not freed on an event loop.
  private static final int FREED_INLINE_MAX = 4096;

  final EntryList freed = new EntryList();
  private final FleecingHook hook;
  private final List<StoredVersions> freedMaps = new ArrayList<>(0);
  private final List<GuestWrite> ready = new ArrayList<>(2);
  private final List<Runnable> events = new ArrayList<>(0);

  Aftermath(FleecingHook hook) {
    this.hook = hook;
  }

  /// The write has nothing left to wait for.
  void resume(GuestWrite write) {
    ready.add(write);
  }

  /// All versions in there; nobody else uses them any more.
  void free(StoredVersions versions) {
    freedMaps.add(versions);
  }

  void tell(Runnable event) {
    events.add(event);
  }

  /// Called without the lock, on a thread that may do what does not wait.
  void run() {
    tellAndFree();
    for (GuestWrite write : ready) {
      goOn(write);
    }
  }

  /// What is thrown on the way of one write is not that of the others.
  private void goOn(GuestWrite write) {
    try {
      hook.proceed(write);
    } catch (RuntimeException | Error e) {
      write.breakOffOrLog(e);
    }
  }

  /// Called without the lock, on a thread that must not touch the disk, because the disk may be
  /// what hangs: each write goes on elsewhere, on its own.
  void runElsewhere() {
    for (GuestWrite write : ready) {
      hook.continueElsewhere(() -> goOn(write));
    }
    tellAndFree();
  }

  private void tellAndFree() {
    for (Runnable event : events) {
      tellOne(event);
    }
    int count = freed.count();
    for (StoredVersions versions : freedMaps) {
      count += versions.count();
    }
    if (count > FREED_INLINE_MAX) {
      hook.continueElsewhere(this::free);
    } else {
      free();
    }
  }

  /// Writes wait behind it, and the copies that they need are theirs all the same.
  private static void tellOne(Runnable event) {
    try {
      event.run();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.ERROR, "who was told of a snapshot", e);
    }
  }

  private void free() {
    if (freed.count() > 0) {
      hook.store().release(freed.array(), freed.count());
    }
    for (StoredVersions versions : freedMaps) {
      versions.drainEntries(hook.store()::release);
    }
  }
}
