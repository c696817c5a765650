// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// Versions of clusters that may be entries of the store.
interface StoredVersions {

  /// Clusters of which there is a version.
  int count();

  /// Gives the store entries of all versions to the sink, some at a time, and forgets them.
  void drainEntries(EntrySink sink);

  /// Takes the first `count` of some store entries.
  interface EntrySink {
    void accept(int[] entries, int count);
  }
}
