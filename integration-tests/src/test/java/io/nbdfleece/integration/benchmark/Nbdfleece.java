// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// The packaged program, started by its launcher as users do. One server serves its disk on a Unix
/// socket and on TCP.
final class Nbdfleece {
  static final String NAME = "nbdfleece";

  /// How the names end of what stands beside as a yardstick.
  static final String WITHOUT = ", no snapshot";

  private final String title;
  private final Path image;
  private final Daemon daemon;
  private final Address tcp;
  private final Path control;
  private int snapshots;

  private Nbdfleece(String title, Path image, Daemon daemon, Address tcp, Path control) {
    this.title = title;
    this.image = image;
    this.daemon = daemon;
    this.tcp = tcp;
    this.control = control;
  }

  /// Returns when it takes connections.
  ///
  /// @param title its line in the table
  /// @param id tells its files from those of another one
  /// @param more further options of `serve`
  static Nbdfleece start(
      Build build, Workplace place, String title, String id, Path image, List<String> more)
      throws IOException, InterruptedException {
    Address unix = Address.unix(place.resolve(id + ".sock"));
    Address tcp = Address.of(Transport.TCP, place, id);
    Path control = place.resolve(id + ".qmp");
    Files.deleteIfExists(control);
    List<String> command = new ArrayList<>();
    command.addAll(List.of(build.launcher().toString(), "serve", "--disk", "vda=" + image));
    command.addAll(List.of("--unix", unix.socket().toString(), "--qmp", control.toString()));
    command.addAll(List.of("--port", Integer.toString(tcp.port())));
    if (!more.contains("--scratch")) {
      command.addAll(List.of("--scratch", place.directory().toString()));
    }
    command.addAll(more);
    command.addAll(build.serveOptions());
    String java =
        System.getenv().getOrDefault("NBDFLEECE_JAVA_OPTS", "")
            + " "
            + String.join(" ", build.javaOptions());
    Daemon daemon =
        Daemon.start(
            command,
            Map.of("NBDFLEECE_JAVA_OPTS", java.strip()),
            place,
            unix,
            List.of(control),
            place.resolve(id + ".log"));
    return new Nbdfleece(title, image, daemon, tcp, control);
  }

  Path control() {
    return control;
  }

  Daemon daemon() {
    return daemon;
  }

  /// Its disk, without a snapshot.
  Subject disk(Transport transport) {
    return new View(title, transport, Optional.empty());
  }

  /// Its disk, with a fresh snapshot for each turn.
  Subject snapshot() {
    snapshots++;
    return new View(title, Transport.UNIX, Optional.of("bench" + snapshots));
  }

  /// The same, to stand beside one with a snapshot.
  Subject withoutSnapshot() {
    return new View(title + WITHOUT, Transport.UNIX, Optional.empty());
  }

  void execute(String command, String name) throws IOException {
    try (QmpClient client = QmpClient.connect(control)) {
      JsonNode _ = client.execute(command, Json.object().put("name", name));
    }
  }

  void stop() throws IOException, InterruptedException {
    daemon.stop();
  }

  /// As kill -9 does.
  void kill() throws IOException, InterruptedException {
    int _ = daemon.process().destroyForcibly().waitFor();
    daemon.stop();
  }

  private final class View implements Subject {
    private final String name;
    private final Transport transport;
    private final Optional<String> snapshot;
    private boolean taken;

    View(String name, Transport transport, Optional<String> snapshot) {
      this.name = name;
      this.transport = transport;
      this.snapshot = snapshot;
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public void begin() throws IOException {
      if (snapshot.isPresent()) {
        execute("fleecing-start", snapshot.get());
        taken = true;
      }
    }

    @Override
    public String diskUri() {
      return uri("vda");
    }

    @Override
    public String pullUri() {
      return uri(snapshot.map(taken -> "vda@" + taken).orElse("vda"));
    }

    private String uri(String export) {
      return switch (transport) {
        case UNIX -> daemon.address().uri(export);
        case TCP -> tcp.uri(export);
      };
    }

    @Override
    public void end() throws IOException {
      if (taken) {
        taken = false;
        execute("fleecing-stop", snapshot.orElseThrow());
      }
    }

    /// The server serves other cases, too.
    @Override
    public void stop() throws IOException {
      end();
    }

    @Override
    public Optional<Path> image() {
      return Optional.of(image);
    }

    @Override
    public Daemon daemon() {
      return daemon;
    }
  }
}
