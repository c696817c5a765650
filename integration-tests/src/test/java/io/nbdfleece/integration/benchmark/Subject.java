// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/// What is measured: a server in one of its ways of working. All of a case take turns, so that a
/// busy moment of the machine hits all alike.
interface Subject {
  /// Its line in the table. Those of nbdfleece begin with [Nbdfleece#NAME], others are peers.
  String name();

  /// Makes it ready for one turn: started, and with a fresh snapshot if it is one with a snapshot.
  void begin() throws IOException, InterruptedException;

  /// Where the guest writes.
  String diskUri();

  /// Where a backup reads: the snapshot, or the disk of one that has none.
  String pullUri();

  /// Ends what [#begin] began. Idempotent.
  void end() throws IOException, InterruptedException;

  /// Ends the server, if it is this subject's own. Idempotent.
  void stop() throws IOException, InterruptedException;

  /// The file that it serves, if it serves one.
  Optional<Path> image();

  /// The server, once begun.
  Daemon daemon();

  default long pid() {
    return daemon().process().pid();
  }

  default boolean isPeer() {
    return !name().startsWith(Nbdfleece.NAME);
  }
}
