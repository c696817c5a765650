// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cache.posix.LinuxSocket;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.server.ServerConfig;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Listening sockets that whoever started us has bound: systemd, or a client of libnbd that runs
/// its own server (sd_listen_fds(3)). They are for us only if `LISTEN_PID` is our process id.
///
/// @param socketCount descriptors 3 and up; 0 = none were passed
record Activation(int socketCount) {
  private static final int FIRST_DESCRIPTOR = 3;
  private static final int SOCKETS_MAX = 256;

  static Activation of(Map<String, String> environment, long ownPid) throws CommandFailure {
    String count = environment.getOrDefault("LISTEN_FDS", "");
    if (count.isEmpty() || !environment.getOrDefault("LISTEN_PID", "").equals("" + ownPid)) {
      return new Activation(0);
    }
    int sockets;
    try {
      sockets = Integer.parseInt(count);
    } catch (NumberFormatException e) {
      sockets = -1;
    }
    if (sockets < 0 || sockets > SOCKETS_MAX) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "LISTEN_FDS=" + count + ": give 0 to " + SOCKETS_MAX + ", as sd_listen_fds(3) says");
    }
    return new Activation(sockets);
  }

  boolean isPresent() {
    return socketCount > 0;
  }

  /// The sockets. Fails when one is none, or is one that other machines should not reach.
  List<ServerConfig.Listen> listen(Exposure exposure) throws CommandFailure {
    List<ServerConfig.Listen> sockets = new ArrayList<>();
    for (int i = 0; i < socketCount; i++) {
      int descriptor = FIRST_DESCRIPTOR + i;
      try {
        if (LinuxSocket.localAddress(descriptor) instanceof InetSocketAddress address) {
          exposure.check(
              "socket "
                  + address.getAddress().getHostAddress()
                  + " port "
                  + address.getPort()
                  + " (LISTEN_FDS)",
              address.getAddress());
        }
      } catch (CommandFailure e) {
        throw e;
      } catch (IOException e) {
        throw new CommandFailure(
            ExitCode.USAGE,
            "LISTEN_FDS=" + socketCount + ": " + Messages.of(e) + ": pass listening sockets",
            e);
      }
      sockets.add(new ServerConfig.Listen.Inherited(descriptor));
    }
    return sockets;
  }
}
