// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// A server process. It runs until [#stop].
///
/// @param readyMillis from its start until it took a connection
record Daemon(Process process, Address address, double readyMillis) {
  private static final int START_SECONDS_MAX = 60;
  private static final int POLL_MILLIS = 1;

  /// Returns when it takes connections.
  ///
  /// @param sockets what has to be there, too
  static Daemon start(
      List<String> command,
      Map<String, String> environment,
      Workplace place,
      Address address,
      List<Path> sockets,
      Path log)
      throws IOException, InterruptedException {
    Files.deleteIfExists(address.socket());
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
    builder.environment().putAll(environment);
    long startNanos = System.nanoTime();
    Process process = place.start(builder);
    long deadlineNanos = startNanos + TimeUnit.SECONDS.toNanos(START_SECONDS_MAX);
    while (!(address.answers() && sockets.stream().allMatch(Files::exists))) {
      if (process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)
          || System.nanoTime() > deadlineNanos) {
        Tool.stop(process);
        throw new IOException(
            Tool.failure(command, "did not take connections", Files.readString(log)));
      }
    }
    return new Daemon(process, address, (System.nanoTime() - startNanos) / 1e6);
  }

  static Daemon start(List<String> command, Workplace place, Address address, Path log)
      throws IOException, InterruptedException {
    return start(command, Map.of(), place, address, List.of(), log);
  }

  void stop() throws IOException, InterruptedException {
    Tool.stop(process);
    Files.deleteIfExists(address.socket());
  }
}
