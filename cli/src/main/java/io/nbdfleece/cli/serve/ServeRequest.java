// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cache.posix.ThreadPriority;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.control.ControlPlace;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerTls;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/// What the user typed, with plain types only, so that the command line does not load the engine.
/// [#resolve] checks it.
///
/// @param limits `NAME=VALUE` each
public record ServeRequest(
    DiskRequest disks,
    ListenRequest listen,
    TlsRequest tls,
    List<String> limits,
    StoreRequest store,
    LifeRequest life) {

  public ServeRequest {
    limits = List.copyOf(limits);
  }

  /// Serves until it is told to end, and returns the exit status.
  ///
  /// @param json whether the ready lines are one JSON line
  /// @param out gets the ready lines, unless standard output belongs to somebody else
  /// @param err gets them then
  public int serve(boolean json, PrintStream out, PrintStream err) throws IOException {
    ServeOptions options = resolve(System.getenv(), ProcessHandle.current().pid());
    PrintStream stream = options.isCaptive() ? err : out;
    return new ServeProcess(options, json ? new ReadyJson(stream) : new ReadyLines(stream)).run();
  }

  /// Checks everything that can be checked without opening anything.
  ServeOptions resolve(Map<String, String> environment, long ownPid) throws IOException {
    List<DiskPlace> places = disks.resolve();
    ServerTls serverTls = tls.resolve();
    Activation activation = Activation.of(environment, ownPid);
    ControlPlace usual = ControlPlace.of(life.qmp(), environment);
    boolean isPrivate =
        listen.isPrivate()
            || activation.isPresent()
            || (life.run().isPresent() && (usual.chosen() || !listen.isGiven()));
    Optional<PrivatePlace> place =
        isPrivate ? Optional.of(PrivatePlace.choose()) : Optional.empty();
    // Several of these may run at once: the place that all servers share is none for them.
    ControlPlace control =
        usual.chosen() && place.isPresent()
            ? new ControlPlace(place.get().controlSocket(), false)
            : usual;
    ServerConfig server =
        new ServerConfig(
            listen.resolve(activation, place, new Exposure(serverTls.mode(), listen.insecure())),
            Limit.resolve(limits),
            serverTls,
            new ServerConfig.ThreadStarts(ThreadPriority::runAtOnce, ThreadPriority::giveWay));
    requireApart(control, server);
    return new ServeOptions(
        places,
        disks.upstream(),
        server,
        listen.insecure(),
        tls.allowedNames(
            places.stream().map(disk -> disk.config().name()).collect(Collectors.toSet())),
        place,
        control,
        store.resolve(),
        life,
        activation.isPresent() || life.run().isPresent());
  }

  private static void requireApart(ControlPlace control, ServerConfig server)
      throws CommandFailure {
    for (ServerConfig.Listen listen : server.listen()) {
      if (listen instanceof ServerConfig.Listen.Unix(Path path)
          && absolute(path).equals(absolute(control.path()))) {
        throw new CommandFailure(
            ExitCode.USAGE,
            "--unix " + path + ": is the control socket's path, too: give another one, or --qmp");
      }
    }
  }

  private static Path absolute(Path path) {
    return path.toAbsolutePath().normalize();
  }
}
