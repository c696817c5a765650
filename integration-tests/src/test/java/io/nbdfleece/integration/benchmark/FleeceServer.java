// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
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

  /// Returns when it is ready.
  ///
  /// @param name tells its sockets from those of another one
  /// @param more further options of `serve`
  static FleeceServer start(Path root, Path place, String name, Path image, String... more)
      throws IOException, InterruptedException {
    Path socket = place.resolve(name + ".nbd.sock");
    Path control = place.resolve(name + ".qmp.sock");
    List<String> command = new ArrayList<>();
    command.addAll(List.of(root.resolve("nbdfleece").toString(), "serve"));
    command.addAll(List.of("--disk", "vda=" + image));
    command.addAll(List.of("--unix", socket.toString()));
    command.addAll(List.of("--qmp", control.toString()));
    command.addAll(List.of("--scratch", place.toString()));
    command.addAll(List.of(more));
    Process process = Tool.serve(command, control, place.resolve(name + ".log"));
    return new FleeceServer(process, socket, control);
  }

  Path control() {
    return control;
  }

  Process process() {
    return process;
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
