// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.io.IOException;
import java.time.Instant;
import java.util.Optional;

/// What the functions on a configuration need of the world around it.
public interface BitmapWork {

  /// An array of clear bits that nobody else has; with a file if `persistent`.
  BitmapContent.Live fresh(int granularityBytes, boolean persistent) throws IOException;

  /// What is dirty in a bitmap.
  ///
  /// @throws BitmapException when it is inconsistent
  GranuleSet read(TrackedBitmap bitmap) throws IOException;

  /// What `reading` yields; or what it yielded before for these two, which never change.
  default GranuleSet once(DiskBitmaps bitmaps, String name, Reading reading) throws IOException {
    return reading.read();
  }

  /// Something that takes long.
  interface Reading {
    GranuleSet read() throws IOException;
  }

  /// When this happens: the same for all disks of a transaction.
  default Instant now() {
    return Instant.now();
  }

  /// What was written since the oldest freeze whose snapshot is there and leaves bitmaps free: a
  /// bitmap that begins now must hold it too, because no snapshot has it.
  default Optional<GranuleSet> sinceFreeze() {
    return Optional.empty();
  }

  /// Whether somebody uses the bitmap, an export for example.
  boolean inUse(String name);

  /// Why bitmaps of the disk cannot be persistent, if so.
  Optional<String> cannotPersist();
}
