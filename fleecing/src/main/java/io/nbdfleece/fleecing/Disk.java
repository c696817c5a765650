// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// A disk that is being served.
public interface Disk {
  DiskConfig config();

  long sizeBytes();

  /// Figures since the disk was added.
  DiskStatistics statistics();
}
