// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.OptionalLong;

/// Tells whether a disk is still the one it was, and unchanged.
public interface DiskIdentity {

  long sizeBytes();

  /// What stays the same as long as it is the same disk, over a start of the machine as well: for a
  /// file its inode and when it was made, for a block device its serial, or number.
  String identity() throws IOException;

  /// Whether an earlier version of this program would have said that it is `identity()`.
  default boolean wasKnownAs(String former) throws IOException {
    return false;
  }

  /// What changes when somebody writes to it: a file's time of modification in ns since 1970; a
  /// checksum of some of a block device's content.
  String stamp() throws IOException;

  /// When it was last written to, in ns since 1970, by anybody, this process too; empty when the
  /// system does not note it.
  default OptionalLong modifiedEpochNanos() throws IOException {
    return OptionalLong.empty();
  }

  /// Until when changes of it are tracked, in ns since 1970; empty: as long as it is served.
  default OptionalLong trackedUntilEpochNanos() {
    return OptionalLong.empty();
  }

  /// Makes durable what was written before the call, and what [#stamp] tells of it.
  default void sync() throws IOException {}
}
