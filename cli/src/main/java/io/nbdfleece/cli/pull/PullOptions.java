// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.util.Optional;
import java.util.OptionalInt;

/// How to pull.
///
/// @param file path, or `-` for standard output
/// @param force whether FILE may exist
/// @param connections 1 to 16; when empty up to 4, if the export allows several
/// @param label what to call the source in messages, instead of the export name
public record PullOptions(
    String file,
    boolean force,
    PullTarget.Sync sync,
    OptionalInt connections,
    Optional<String> label) {

  /// Most connections of one pull.
  public static final int CONNECTIONS_MAX = 16;

  /// Into a new file that need not survive a crash of the machine.
  public static PullOptions toFileUnsynced(String file) {
    return new PullOptions(
        file, false, PullTarget.Sync.NONE, OptionalInt.empty(), Optional.empty());
  }
}
