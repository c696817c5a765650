// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.control.ControlPlace;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/// What every client command takes.
final class ControlOptions {
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
    return QmpClient.connect(place.path());
  }
}
