// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cache.posix.ThreadPriority;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.nbd.server.NbdServer;

/// Begins, beside the parsing of the command line, what takes long and is needed in any case: the
/// system calls have to be bound, Netty's library unpacked and loaded. Only a matter of time:
/// whoever comes to need it does it, or waits for it, as without a head start.
///
/// A server's optimising compiler gives way from here on: it has most to do in the first seconds,
/// beside the first requests.
final class HeadStart {
  private HeadStart() {}

  /// Returns at once.
  static void of(Subcommand command) {
    switch (command) {
      case SERVE, DEMO, WARM_UP -> start("head-start", HeadStart::ofServer);
      case SNAPSHOT, RELEASE, LIST, STATUS, CACHE_RESIZE, BITMAP, CHECKPOINT, EVENTS, QMP ->
          start("head-start", HeadStart::ofJson);
      case PULL, APPLY -> start("head-start", LinuxFile::bindCalls);
      case INFO, MAP, VERSION, HELP -> {}
    }
  }

  private static void ofServer() {
    LinuxFile.bindCalls();
    ThreadPriority.haveOptimizerGiveWay();
    boolean _ = NbdServer.isSupported();
  }

  private static void ofJson() {
    String _ = Json.line(Json.object());
  }

  private static void start(String name, Runnable work) {
    Thread _ = Thread.ofPlatform().daemon().name(name).start(work);
  }
}
