// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.control.ControlPlace;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Option;

/// What every client command takes.
final class ControlOptions {
  private static final long PATIENCE_SECONDS = 3;

  @Option(
      names = "--qmp",
      paramLabel = "PATH",
      description = "Control socket of the server (or NBDFLEECE_QMP).")
  private Optional<Path> qmp = Optional.empty();

  @Option(names = "--json", description = "Prints a JSON document.")
  private boolean json;

  boolean json() {
    return json;
  }

  Path path() throws IOException {
    return ControlPlace.of(qmp, System.getenv()).path();
  }

  QmpClient connect() throws IOException {
    ControlPlace place = ControlPlace.of(qmp, System.getenv());
    place.checkDirectory();
    CountDownLatch answered = new CountDownLatch(1);
    Thread.ofPlatform().daemon().name("patience").start(() -> watch(answered, place.path()));
    try {
      return QmpClient.connect(place.path());
    } finally {
      answered.countDown();
    }
  }

  // A server that may open no more files lets clients wait, and so does one that is stopped.
  private static void watch(CountDownLatch answered, Path path) {
    try {
      if (!answered.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        System.err.println(
            "nbdfleece: the server at "
                + path
                + " does not answer: waiting on; its log may say why, Ctrl-C gives up");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
