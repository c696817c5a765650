// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// The packaged program with the options that users get.
final class FleeceServer {
  private static final String SNAPSHOT = "round";

  private final Process process;
  private final Path socket;
  private final Path control;

  private FleeceServer(Process process, Path socket, Path control) {
    this.process = process;
    this.socket = socket;
    this.control = control;
  }

  static FleeceServer start(Path root, Path place, Path image)
      throws IOException, InterruptedException {
    Path socket = place.resolve("fleece.sock");
    Path control = place.resolve("control.sock");
    List<String> command =
        List.of(
            root.resolve("nbdfleece").toString(),
            "serve",
            "--disk",
            "vda=" + image,
            "--unix",
            socket.toString(),
            "--qmp",
            control.toString(),
            "--scratch",
            place.toString());
    Process process = Tool.serve(command, control, place.resolve("fleece.log"));
    return new FleeceServer(process, socket, control);
  }

  Subject plain() {
    return new Plain();
  }

  Subject withSnapshot() {
    return new WithSnapshot();
  }

  private String uri(String export) {
    return "nbd+unix:///" + export + "?socket=" + socket;
  }

  void stop() throws InterruptedException {
    Tool.stop(process);
  }

  private final class Plain implements Subject {
    @Override
    public String name() {
      return "nbdfleece";
    }

    @Override
    public void begin() {}

    @Override
    public String diskUri() {
      return uri("vda");
    }

    @Override
    public String pullUri() {
      return uri("vda");
    }

    @Override
    public void end() {}

    @Override
    public void stop() {}
  }

  private final class WithSnapshot implements Subject {
    private boolean taken;

    @Override
    public String name() {
      return "nbdfleece+snapshot";
    }

    @Override
    public void begin() throws IOException {
      execute("fleecing-start");
      taken = true;
    }

    @Override
    public String diskUri() {
      return uri("vda");
    }

    @Override
    public String pullUri() {
      return uri("vda@" + SNAPSHOT);
    }

    @Override
    public void end() throws IOException {
      if (taken) {
        taken = false;
        execute("fleecing-stop");
      }
    }

    @Override
    public void stop() throws IOException {
      end();
    }

    private void execute(String command) throws IOException {
      try (QmpClient client = QmpClient.connect(control)) {
        JsonNode _ = client.execute(command, Json.object().put("name", SNAPSHOT));
      }
    }
  }
}
