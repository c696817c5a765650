// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.HookStatistics;
import java.util.concurrent.atomic.AtomicInteger;

/// A disk and its hook. Any thread.
public final class ServedDisk implements Disk {
  private final DiskConfig config;
  private final FleecingHook hook;
  private final AtomicInteger clients = new AtomicInteger();

  ServedDisk(DiskConfig config, FleecingHook hook) {
    this.config = config;
    this.hook = hook;
  }

  @Override
  public DiskConfig config() {
    return config;
  }

  @Override
  public long sizeBytes() {
    return hook.sizeBytes();
  }

  /// The top of the disk's chain.
  public FleecingHook hook() {
    return hook;
  }

  /// Connections that have the disk open; whoever serves it counts them.
  public AtomicInteger clients() {
    return clients;
  }

  @Override
  public DiskStatistics statistics() {
    HookStatistics hooked = hook.statistics();
    return new DiskStatistics(
        hooked.writes(),
        hooked.writeErrors(),
        hooked.preserves(),
        hooked.preservingWrites(),
        hooked.preserveNanosTotal(),
        hooked.preserveNanosMax(),
        clients.get());
  }
}
