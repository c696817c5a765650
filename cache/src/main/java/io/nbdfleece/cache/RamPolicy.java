// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.function.Consumer;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/// Which entries leave RAM first, and when: Caffeine's advice, and how many of the slots are kept
/// free for what comes.
///
/// **Threads.** Any thread, with no lock of the store held.
final class RamPolicy {
  private static final long RESERVE_BYTES_MAX = 16 << 20;
  private static final int RESERVE_SLOTS_MIN = 2;

  private final Cache<Integer, RamCopy> cache;

  @GuardedBy("this")
  private StoreConfig config;

  @GuardedBy("this")
  private boolean spillsSooner;

  /// @param evicted is told of what has to leave, under locks of Caffeine
  RamPolicy(StoreConfig config, Consumer<RamCopy> evicted) {
    this.config = config;
    this.cache =
        Caffeine.newBuilder()
            .maximumWeight(residentBytesMax(config, false))
            .weigher((Integer entry, RamCopy copy) -> config.clusterBytes())
            .executor(Runnable::run)
            .evictionListener(
                (entry, copy, cause) -> {
                  if (copy != null) {
                    evicted.accept(copy);
                  }
                })
            .build();
  }

  /// What may hold entries that are not on their way to disk. The rest is for slots being filled or
  /// written; without a disk tier there is no need to hold back.
  private static long residentBytesMax(StoreConfig config, boolean spillsSooner) {
    int all = config.ramSlotCount();
    if (config.scratchSlotCount() == 0) {
      return (long) all * config.clusterBytes();
    }
    long usual = Math.min(all / 4, RESERVE_BYTES_MAX / config.clusterBytes());
    long reserve = Math.max(RESERVE_SLOTS_MIN, spillsSooner ? all / 2 : usual);
    return (all - reserve) * config.clusterBytes();
  }

  /// Sizes as given from now on; evicts what is too much.
  synchronized void resize(StoreConfig next) {
    config = next;
    apply();
  }

  /// Keeps half of RAM free from now on, or as little as usual.
  synchronized void spillSooner(boolean sooner) {
    if (spillsSooner != sooner) {
      spillsSooner = sooner;
      apply();
    }
  }

  @GuardedBy("this")
  private void apply() {
    cache.policy().eviction().orElseThrow().setMaximum(residentBytesMax(config, spillsSooner));
  }

  void put(RamCopy copy) {
    cache.put(copy.entry, copy);
  }

  /// Puts what the store has of that number. Released meanwhile, the number may be another commit's
  /// by now, whose copy the put displaced: so what is removed is followed by what there is then.
  void follow(int entry, IntFunction<@Nullable RamCopy> resident) {
    RamCopy copy = resident.apply(entry);
    while (copy != null) {
      put(copy);
      RamCopy now = resident.apply(entry);
      if (now == copy) {
        return;
      }
      remove(copy);
      copy = now;
    }
  }

  /// Notes that it is read.
  ///
  /// @return what the policy has of that number
  @Nullable RamCopy used(int entry) {
    return cache.getIfPresent(entry);
  }

  void remove(RamCopy copy) {
    cache.asMap().remove(copy.entry, copy);
  }

  /// Caffeine leaves work undone when two threads meet in it. Who waits for a slot needs it done.
  void evictWhatIsDue() {
    cache.cleanUp();
  }

  void clear() {
    cache.invalidateAll();
  }
}
