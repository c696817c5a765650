// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.OptionalLong;

/// Of a disk whose state was begun by an earlier version of this program, and names it in that
/// one's words: so do the heads of all its files, and it goes on like that.
record IdentityKnownAs(DiskIdentity disk, String identity) implements DiskIdentity {

  @Override
  public long sizeBytes() {
    return disk.sizeBytes();
  }

  @Override
  public String stamp() throws IOException {
    return disk.stamp();
  }

  @Override
  public OptionalLong modifiedEpochNanos() throws IOException {
    return disk.modifiedEpochNanos();
  }

  @Override
  public OptionalLong trackedUntilEpochNanos() {
    return disk.trackedUntilEpochNanos();
  }

  @Override
  public void sync() throws IOException {
    disk.sync();
  }
}
