// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.nbd.server.ServerConfig;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/// Where to listen, as typed.
///
/// @param unix path of a socket, or `-` for a private one
/// @param insecure whether other machines may connect without encryption
public record ListenRequest(
    Optional<String> unix, OptionalInt port, Optional<String> address, boolean insecure) {
  /// `--unix -`.
  private static final String PRIVATE = "-";

  private static final int PORT_DEFAULT = 10809;
  // sun_path, unix(7), less the final zero.
  private static final int SOCKET_PATH_BYTES_MAX = 107;

  /// Whether a private socket was asked for.
  boolean isPrivate() {
    return unix.isPresent() && unix.get().equals(PRIVATE);
  }

  /// Whether any address was given.
  boolean isGiven() {
    return unix.isPresent() || port.isPresent() || address.isPresent();
  }

  /// @param activation sockets passed to us; with them no address may be given
  /// @param place where a private socket goes, if there is to be one
  List<ServerConfig.Listen> resolve(
      Activation activation, Optional<PrivatePlace> place, Exposure exposure)
      throws CommandFailure {
    if (activation.isPresent()) {
      if (isGiven()) {
        throw usage(
            "sockets were passed to us (LISTEN_FDS="
                + activation.socketCount()
                + "): leave out --unix, --port and --ipaddr");
      }
      return activation.listen(exposure);
    }
    List<ServerConfig.Listen> listen = new ArrayList<>();
    if (place.isPresent() && (isPrivate() || !isGiven())) {
      listen.add(new ServerConfig.Listen.Unix(checked(place.get().nbdSocket())));
    } else if (unix.isPresent()) {
      listen.add(new ServerConfig.Listen.Unix(checked(Path.of(unix.get()).toAbsolutePath())));
    }
    if (listen.isEmpty() || port.isPresent() || address.isPresent()) {
      listen.add(new ServerConfig.Listen.Tcp(resolveTcp(exposure)));
    }
    return listen;
  }

  private static Path checked(Path path) throws CommandFailure {
    if (path.toString().getBytes(UTF_8).length > SOCKET_PATH_BYTES_MAX) {
      throw usage(
          "--unix "
              + path
              + ": longer than the "
              + SOCKET_PATH_BYTES_MAX
              + " bytes of a Unix socket: use a shorter path");
    }
    return path;
  }

  private InetSocketAddress resolveTcp(Exposure exposure) throws CommandFailure {
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
    exposure.check("--ipaddr " + host, resolved);
    return new InetSocketAddress(resolved, number);
  }

  private static CommandFailure usage(String message) {
    return new CommandFailure(ExitCode.USAGE, message);
  }
}
