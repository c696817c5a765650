// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.control.ControlPlace;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.nbd.server.ServerConfig;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/// What the user typed, with plain types only, so that the command line does not load the engine.
/// [#resolve] checks it.
///
/// @param paths disks named after their file
/// @param disks `NAME=PATH` each
public record ServeRequest(
    List<Path> paths,
    List<String> disks,
    boolean readOnly,
    Optional<Path> unix,
    OptionalInt port,
    Optional<String> address,
    boolean insecure,
    long ramBytes,
    Path scratchDirectory,
    Optional<Long> scratchBytesMax,
    long clusterBytes,
    String onCbwError,
    long cbwTimeoutSeconds,
    Optional<Path> qmp,
    Optional<Path> pidFile) {
  private static final int PORT_DEFAULT = 10809;
  // sun_path, unix(7), less the final zero.
  private static final int SOCKET_PATH_BYTES_MAX = 107;

  /// Serves until it is told to end.
  public ExitCode serve(boolean json, PrintStream out) throws IOException {
    return new ServeProcess(resolve(), json ? new ReadyJson(out) : new ReadyLines(out)).run();
  }

  /// Checks everything that can be checked without opening anything.
  ServeOptions resolve() throws IOException {
    if (cbwTimeoutSeconds < 0) {
      throw usage("--cbw-timeout " + cbwTimeoutSeconds + ": give 0 (no limit) or more seconds");
    }
    if (clusterBytes > Integer.MAX_VALUE) {
      throw usage("--cluster-size " + clusterBytes + ": give a power of two from 4K to 4M");
    }
    return new ServeOptions(
        resolveDisks(),
        resolveListen(),
        ControlPlace.of(qmp, System.getenv()),
        ramBytes,
        scratchDirectory,
        scratchBytesMax.map(OptionalLong::of).orElse(OptionalLong.empty()),
        (int) clusterBytes,
        new ControlTarget.SnapshotDefaults(
            SnapshotRequest.OnCbwError.valueOf(onCbwError), Duration.ofSeconds(cbwTimeoutSeconds)),
        pidFile);
  }

  private List<DiskConfig> resolveDisks() throws CommandFailure {
    List<DiskConfig> configs = new ArrayList<>();
    for (Path path : paths) {
      configs.add(disk(nameOf(path), path));
    }
    for (String disk : disks) {
      int equals = disk.indexOf('=');
      if (equals < 1 || equals == disk.length() - 1) {
        throw usage("--disk " + disk + ": give NAME=PATH, e.g. --disk vda=/srv/vm1.img");
      }
      configs.add(disk(disk.substring(0, equals), Path.of(disk.substring(equals + 1))));
    }
    if (configs.isEmpty()) {
      throw usage("nothing to serve: give a disk, e.g. `nbdfleece serve disk.img`");
    }
    Set<String> names = new HashSet<>();
    for (DiskConfig config : configs) {
      if (!names.add(config.name())) {
        throw usage(
            "two disks named \""
                + config.name()
                + "\", the second is "
                + config.location()
                + ": name it with --disk NAME=PATH");
      }
    }
    return configs;
  }

  private DiskConfig disk(String name, Path path) throws CommandFailure {
    try {
      return new DiskConfig(
          name,
          path.toString(),
          readOnly ? DiskConfig.Access.READ_ONLY : DiskConfig.Access.READ_WRITE);
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(
          ExitCode.USAGE, e.getMessage() + ", " + path + ": name it with --disk NAME=PATH", e);
    }
  }

  private static String nameOf(Path path) {
    Path last = path.getFileName();
    String file = last == null ? "" : last.toString();
    int dot = file.lastIndexOf('.');
    return dot > 0 ? file.substring(0, dot) : file;
  }

  private List<ServerConfig.Listen> resolveListen() throws CommandFailure {
    List<ServerConfig.Listen> listen = new ArrayList<>();
    if (unix.isPresent()) {
      Path path = unix.get().toAbsolutePath();
      if (path.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8).length
          > SOCKET_PATH_BYTES_MAX) {
        throw usage(
            "--unix "
                + path
                + ": longer than the "
                + SOCKET_PATH_BYTES_MAX
                + " bytes of a Unix socket: use a shorter path");
      }
      listen.add(new ServerConfig.Listen.Unix(path));
    }
    if (unix.isEmpty() || port.isPresent() || address.isPresent()) {
      listen.add(new ServerConfig.Listen.Tcp(resolveTcp()));
    }
    return listen;
  }

  private InetSocketAddress resolveTcp() throws CommandFailure {
    int number = port.orElse(PORT_DEFAULT);
    if (number < 0 || number > 65535) {
      throw usage("--port " + number + ": give a port from 0 (any free one) to 65535");
    }
    String host = address.orElse("127.0.0.1");
    InetAddress resolved;
    try {
      resolved = InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw usage("--ipaddr " + host + ": no such address: give one of this machine");
    }
    if (!resolved.isLoopbackAddress() && !insecure) {
      throw usage(
          "--ipaddr "
              + host
              + ": other machines could read and write the disks, and there is no encryption yet:"
              + " use --unix, 127.0.0.1 with a tunnel, or say --insecure");
    }
    return new InetSocketAddress(resolved, number);
  }

  private static CommandFailure usage(String message) {
    return new CommandFailure(ExitCode.USAGE, message);
  }
}
