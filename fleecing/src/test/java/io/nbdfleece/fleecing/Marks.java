// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/// What must be in a bitmap: offsets of clusters.
final class Marks {
  /// Of those that were written.
  final Set<Integer> must;

  /// The same, and of those that were to be written.
  final Set<Integer> may;

  private final boolean recording;

  /// Of one that begins.
  Marks() {
    this(new TreeSet<>(), new TreeSet<>(), true);
  }

  private Marks(Set<Integer> must, Set<Integer> may, boolean recording) {
    this.must = must;
    this.may = may;
    this.recording = recording;
  }

  /// The same of one that does not record.
  Marks still() {
    return new Marks(new TreeSet<>(must), new TreeSet<>(may), false);
  }

  void record(List<Integer> clusters, boolean written) {
    if (recording) {
      may.addAll(clusters);
      if (written) {
        must.addAll(clusters);
      }
    }
  }
}
