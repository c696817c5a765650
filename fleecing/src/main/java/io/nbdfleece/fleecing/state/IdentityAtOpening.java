// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.OptionalLong;

/// Of a disk that is served read-only: its bitmaps are of what it was when it was opened. Our lock
/// lets others write to it meanwhile, which nobody tracks; so the next start has to find a change.
public final class IdentityAtOpening implements DiskIdentity {
  private final DiskIdentity disk;
  private final String stamp;
  private final OptionalLong modifiedEpochNanos;

  public IdentityAtOpening(DiskIdentity disk) throws IOException {
    this.disk = disk;
    this.stamp = disk.stamp();
    this.modifiedEpochNanos = disk.modifiedEpochNanos();
  }

  @Override
  public long sizeBytes() {
    return disk.sizeBytes();
  }

  @Override
  public String identity() throws IOException {
    return disk.identity();
  }

  @Override
  public boolean wasKnownAs(String former) throws IOException {
    return disk.wasKnownAs(former);
  }

  @Override
  public String stamp() {
    return stamp;
  }

  @Override
  public OptionalLong modifiedEpochNanos() {
    return modifiedEpochNanos;
  }

  /// Others may have changed it right behind the change that was the last one.
  @Override
  public OptionalLong trackedUntilEpochNanos() {
    return modifiedEpochNanos;
  }

  @Override
  public void sync() throws IOException {
    disk.sync();
  }
}
