// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.Arrays;

/// A growing list of store entries without boxing. Not thread-safe.
final class EntryList {
  private static final int[] NONE = {};

  private int[] entries = NONE;
  private int count;

  void add(int entry) {
    if (count == entries.length) {
      entries = Arrays.copyOf(entries, Math.max(16, count * 2));
    }
    entries[count++] = entry;
  }

  int[] array() {
    return entries;
  }

  int count() {
    return count;
  }
}
