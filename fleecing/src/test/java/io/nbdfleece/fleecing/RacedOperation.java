// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// What meets in [PairRaceTest]: each of these with each other, and with itself.
enum RacedOperation {
  /// A write of a guest into up to five clusters, at any bytes of them.
  GUEST_WRITE,

  /// A trim, or zeroing that may punch a hole.
  TRIM,

  /// Another snapshot begins.
  SNAPSHOT_START,

  /// Four reads of the snapshot that is there.
  SNAPSHOT_READ,

  /// The client of that snapshot gives up a range.
  DISCARD,

  /// That snapshot is released.
  RELEASE,

  /// The RAM tier gives up half of what it holds.
  SPILL,

  /// A bitmap is cleared, or disabled and enabled, or merged into one that comes and goes.
  BITMAP_COMMAND,

  /// RAM and scratch get other sizes, which may be too small.
  CACHE_RESIZE,

  /// The engine is closed. As with the NBD server, requests have ended before, and none begins
  /// afterwards: so with these it races for who comes first, and with commands for everything.
  SHUTDOWN;

  boolean changesDisk() {
    return this == GUEST_WRITE || this == TRIM;
  }

  /// Whether the other one is a reason to refuse it. Else it has to succeed.
  boolean mayBeRefusedBy(RacedOperation other) {
    boolean stops = other == SHUTDOWN;
    return switch (this) {
      case GUEST_WRITE, TRIM, SNAPSHOT_START, BITMAP_COMMAND -> stops;
      case SNAPSHOT_READ -> stops || other == RELEASE || other == DISCARD;
      case DISCARD, RELEASE -> stops || other == RELEASE;
      case CACHE_RESIZE -> true; // what is held may not fit
      case SPILL, SHUTDOWN -> false;
    };
  }

  /// Whether both together may break a snapshot: what has to be preserved may find no room.
  static boolean mayBreak(RacedOperation one, RacedOperation other) {
    return (one == CACHE_RESIZE && other.changesDisk())
        || (other == CACHE_RESIZE && one.changesDisk());
  }
}
