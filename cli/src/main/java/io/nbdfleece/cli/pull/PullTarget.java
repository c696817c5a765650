// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;

/// Where a pull writes. Used by one thread, except [#discard] and [#keep].
public interface PullTarget {

  /// Whether [#data] and [#zeroes] must come in order of offset without gaps.
  boolean isSequential();

  /// Takes `data` from position to limit.
  void data(long offsetBytes, ByteBuffer data) throws IOException;

  /// The range is zero.
  void zeroes(long offsetBytes, long lengthBytes) throws IOException;

  /// All has come: makes it durable unless told not to, and shows it under its name.
  void finish(Sync sync) throws IOException;

  /// Gives up and removes what was written, unless [#finish] has succeeded. Any thread; again and
  /// again does nothing more.
  void discard();

  /// Gives up, but keeps what a later pull can go on with; the same as [#discard] if it cannot.
  ///
  /// @return what there is then
  default Left keep() {
    discard();
    return Left.NOTHING;
  }

  /// What is there from an earlier pull and need not come again.
  default DoneRanges done() {
    return new DoneRanges();
  }

  /// Whether [#done] is what has not changed, rather than what came before: it counts for nothing
  /// then.
  default boolean isDelta() {
    return false;
  }

  /// The file that is a copy of all of the export once [#finish] has succeeded.
  default Optional<Path> image() {
    return Optional.empty();
  }

  /// For messages.
  String name();

  /// What a pull that was given up leaves.
  enum Left {
    NOTHING,
    /// What a later pull can go on with.
    RESUMABLE,
    /// A device that was partly overwritten.
    PART,
    /// It was complete already.
    ALL;

    /// For the user.
    public String text(String file) {
      return switch (this) {
        case NOTHING -> "nothing was kept";
        case RESUMABLE -> "what has come is kept: " + Pull.GO_ON;
        case PART -> file + " holds a part only: pull again to overwrite all of it";
        case ALL -> file + " is complete";
      };
    }
  }

  /// Whether the end waits for stable storage.
  enum Sync {
    FSYNC,
    NONE
  }
}
