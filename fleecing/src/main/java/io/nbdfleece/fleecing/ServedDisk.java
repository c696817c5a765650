// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.HookStatistics;
import java.util.Optional;

/// A disk and its hook. Any thread.
public final class ServedDisk implements Disk {
  private final DiskConfig config;
  private final Optional<FileNode> file;
  private final FleecingHook hook;
  private final DiskUsers users = new DiskUsers();
  private final DiskTracking tracking;
  private volatile BlockNode top;
  private volatile Optional<String> damage = Optional.empty();
  private volatile Optional<String> displacement = Optional.empty();

  /// @param file at the end of the chain; empty when something else is
  ServedDisk(DiskConfig config, Optional<FileNode> file, FleecingHook hook, DiskTracking tracking) {
    this.config = config;
    this.file = file;
    this.hook = hook;
    this.tracking = tracking;
    this.top = hook;
  }

  @Override
  public DiskConfig config() {
    return config;
  }

  @Override
  public long sizeBytes() {
    return hook.sizeBytes();
  }

  public FleecingHook hook() {
    return hook;
  }

  /// Its bitmaps.
  DiskTracking tracking() {
    return tracking;
  }

  /// It is not served any more.
  void markRemoved() {
    tracking.markRemoved();
  }

  @Override
  public Optional<String> damage() {
    return damage;
  }

  void damaged(String reason) {
    damage = Optional.of(reason);
  }

  @Override
  public Optional<String> displacement() {
    return displacement;
  }

  void displaced(Optional<String> reason) {
    displacement = reason;
  }

  /// What the disk lies in, when that is a file or a block device.
  Optional<FileNode> file() {
    return file;
  }

  /// The top of the disk's chain: what a guest's request meets first. The hook, or a filter on it.
  public BlockNode top() {
    return top;
  }

  /// Puts a filter on top, or takes it away. Requests under way end where they began: see
  /// [io.nbdfleece.fleecing.block.ThrottleNode#leave].
  public void replaceTop(BlockNode next) {
    top = next;
  }

  /// Who has the disk open; whoever serves it counts them.
  public DiskUsers users() {
    return users;
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
        users.clientCount(),
        hooked.slowedWrites(),
        hooked.slowedNanosTotal(),
        hooked.budgetStep());
  }
}
