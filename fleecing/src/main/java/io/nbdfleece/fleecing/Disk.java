// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.util.Optional;

/// A disk that is being served.
public interface Disk {
  DiskConfig config();

  long sizeBytes();

  /// Figures since the disk was added.
  DiskStatistics statistics();

  /// What has become of what it lies in that stays so, and what to do, for people; empty while it
  /// is whole.
  default Optional<String> damage() {
    return Optional.empty();
  }

  /// Where its file has gone, when nobody finds it any more by the name that the disk was given,
  /// and what to do, for people; empty while it is there, and for what is no file.
  default Optional<String> displacement() {
    return Optional.empty();
  }
}
