// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;

/// How to pull.
///
/// @param file path, or `-` for standard output
/// @param force whether FILE may exist
/// @param connections 1 to 16; when empty up to 4, if the export allows several
/// @param resume whether to go on with an interrupted pull, and to make this one such that it can
///   be gone on with
/// @param reconnectDelay how long to try to connect again when a connection breaks; zero: not at
///   all
/// @param label what to call the source in messages, instead of the export name
/// @param since copy only what a dirty bitmap of the export covers, as a delta
public record PullOptions(
    String file,
    boolean force,
    PullTarget.Sync sync,
    OptionalInt connections,
    Resume resume,
    Duration reconnectDelay,
    Optional<String> label,
    Optional<Since> since) {

  /// All of the export.
  public PullOptions(
      String file,
      boolean force,
      PullTarget.Sync sync,
      OptionalInt connections,
      Resume resume,
      Duration reconnectDelay,
      Optional<String> label) {
    this(file, force, sync, connections, resume, reconnectDelay, label, Optional.empty());
  }

  /// Most connections of one pull.
  public static final int CONNECTIONS_MAX = 16;

  /// Into a new file that need not survive a crash of the machine.
  public static PullOptions toFileUnsynced(String file) {
    return new PullOptions(
        file,
        false,
        PullTarget.Sync.NONE,
        OptionalInt.empty(),
        Resume.NO,
        Duration.ZERO,
        Optional.empty());
  }

  /// Which bitmap.
  ///
  /// @param bitmap NAME in `qemu:dirty-bitmap:NAME`; the only one that there is when absent
  public record Since(Optional<String> bitmap) {}

  /// Whether an interruption is the end.
  public enum Resume {
    NO,
    YES
  }
}
