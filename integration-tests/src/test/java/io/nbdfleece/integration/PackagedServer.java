// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import tools.jackson.databind.JsonNode;

/// The packaged program, serving, as a process of its own. [#close] ends it as a service manager
/// does and checks that it ended well: exit code 0, no stack trace, no leak found.
final class PackagedServer implements AutoCloseable {
  private final Process process;
  private final List<String> command;
  private final Path directory;
  private final Path log;
  private final CompletableFuture<JsonNode> ready = new CompletableFuture<>();
  private boolean ended;

  private PackagedServer(Path directory, List<String> command) throws IOException {
    this.directory = directory;
    this.command = command;
    log = Files.createTempFile(directory, "serve", ".log");
    process = new ProcessBuilder(command).redirectError(log.toFile()).start();
    Thread.ofVirtual().name("server-out").start(this::readOutput);
  }

  /// What to serve and how. The disks' names and paths, then further options of `serve`.
  static Setup in(Path directory) {
    return new Setup(directory, List.of(), List.of(), List.of());
  }

  private void readOutput() {
    try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("{")) {
          ready.complete(Command.parse(line));
        }
      }
    } catch (IOException e) {
      ready.completeExceptionally(e);
    }
    ready.completeExceptionally(new IOException("the server ended before it was ready"));
  }

  private PackagedServer awaitReady() throws IOException {
    try {
      JsonNode _ = ready.get(60, TimeUnit.SECONDS);
      return this;
    } catch (ExecutionException | TimeoutException e) {
      process.destroyForcibly();
      throw new IOException(String.join(" ", command) + ": not ready: " + log(), e);
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  /// The URI of an export, `vda` or `vda@nightly`, on the Unix socket.
  NbdUri uri(String exportName) {
    return new NbdUri.Unix(directory.resolve("nbd.sock"), exportName);
  }

  Path socket() {
    return directory.resolve("nbd.sock");
  }

  Path controlPath() {
    return directory.resolve("qmp.sock");
  }

  NbdClient connect(String exportName) throws IOException {
    return NbdClient.connect(uri(exportName), List.of("base:allocation"));
  }

  ControlSocket control() throws IOException {
    return ControlSocket.connect(directory.resolve("qmp.sock"));
  }

  /// Runs a client command of the program against this server, e.g. `snapshot --name nightly`.
  Command.Result run(String... arguments) throws IOException {
    List<String> all = new ArrayList<>(Arrays.asList(arguments));
    if (!all.getFirst().equals("pull")) {
      all.addAll(List.of("--qmp", directory.resolve("qmp.sock").toString(), "--json"));
    }
    return Command.run(Program.client(all.toArray(String[]::new)));
  }

  /// Takes a snapshot over the control socket; the options are members of the QMP command.
  JsonNode snapshot(String name, String... options) throws IOException {
    try (ControlSocket control = control()) {
      var arguments = ControlSocket.object().put("name", name);
      for (int i = 0; i < options.length; i += 2) {
        arguments.put(options[i], options[i + 1]);
      }
      return control.execute("fleecing-start", arguments);
    }
  }

  void release(String name) throws IOException {
    try (ControlSocket control = control()) {
      JsonNode _ = control.execute("fleecing-stop", ControlSocket.object().put("name", name));
    }
  }

  /// The first disk of the snapshot as the server sees it now.
  JsonNode snapshotDisk(String name) throws IOException {
    try (ControlSocket control = control()) {
      JsonNode all = control.execute("query-fleecing", ControlSocket.object());
      for (JsonNode snapshot : all) {
        if (snapshot.path("name").asString().equals(name)) {
          return snapshot.path("disks").get(0);
        }
      }
      throw new AssertionError("no snapshot " + name + ": " + all);
    }
  }

  /// The first disk as the server sees it now.
  JsonNode disk() throws IOException {
    try (ControlSocket control = control()) {
      return control.execute("x-nbdfleece-query-disks", ControlSocket.object()).get(0);
    }
  }

  JsonNode store() throws IOException {
    try (ControlSocket control = control()) {
      return control.execute("x-nbdfleece-query-store", ControlSocket.object());
    }
  }

  JsonNode readyLine() {
    return ready.join();
  }

  long pid() {
    return process.pid();
  }

  boolean isAlive() {
    return process.isAlive();
  }

  ProcessFigures figures() throws IOException {
    return ProcessFigures.of(pid());
  }

  /// What it wrote to standard error so far.
  String log() throws IOException {
    return Files.readString(log);
  }

  /// SIGKILL.
  void kill() {
    ended = true;
    process.destroyForcibly();
    int _ = Command.await(process, command);
  }

  /// Sends a signal, `STOP` for example.
  void signal(String name) throws IOException {
    Command.Result _ = Command.run("kill", "-" + name, Long.toString(pid())).succeeds();
  }

  /// The exit code of one that has been told to end, by a signal of the test's own.
  int awaitEnd() {
    ended = true;
    return Command.await(process, command);
  }

  @Override
  public void close() {
    if (ended) {
      return;
    }
    ended = true;
    process.destroy();
    int exitCode = Command.await(process, command);
    try {
      String said = log();
      assertEquals(0, exitCode, said);
      assertFalse(said.contains("LEAK"), said);
      assertFalse(said.matches("(?s).*\\n\\s+at [\\w.$/]+\\(.*"), said);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /// A server to be started.
  record Setup(
      Path directory, List<String> prefix, List<String> jvmOptions, List<String> arguments) {

    Setup disk(String name, Path path) {
      return with("--disk", name + "=" + path);
    }

    Setup with(String... more) {
      return new Setup(directory, prefix, jvmOptions, Command.join(arguments, more));
    }

    /// Runs the server by way of another program, e.g. `prlimit`.
    Setup through(String... program) {
      return new Setup(directory, List.of(program), jvmOptions, arguments);
    }

    /// With further options for its JVM.
    Setup jvm(String... options) {
      return new Setup(directory, prefix, List.of(options), arguments);
    }

    /// Starts it and waits until clients can connect.
    PackagedServer start() throws IOException {
      List<String> all = new ArrayList<>(prefix);
      all.addAll(Program.serve(jvmOptions, "--json"));
      all.addAll(List.of("--unix", directory.resolve("nbd.sock").toString()));
      all.addAll(List.of("--qmp", directory.resolve("qmp.sock").toString()));
      if (!arguments.contains("--scratch")) {
        all.addAll(List.of("--scratch", directory.toString()));
      }
      all.addAll(arguments);
      return new PackagedServer(directory, all).awaitReady();
    }
  }
}
