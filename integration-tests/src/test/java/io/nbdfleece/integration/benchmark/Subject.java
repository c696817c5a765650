// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;

/// What is measured: a server in one of its ways of working.
interface Subject {
  String name();

  /// Makes it ready for one measurement: a fresh snapshot, if it is one with a snapshot.
  void begin() throws IOException, InterruptedException;

  /// Where the guest writes.
  String diskUri();

  /// Where a backup reads.
  String pullUri();

  /// Ends what [#begin] began. Idempotent.
  void end() throws IOException, InterruptedException;

  /// Ends the server, if it is this subject's own. Idempotent.
  void stop() throws IOException, InterruptedException;
}
