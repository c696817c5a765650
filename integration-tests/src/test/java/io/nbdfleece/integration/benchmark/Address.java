// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;

/// Where a server listens: a Unix socket, or a port of 127.0.0.1.
record Address(Transport transport, Path socket, int port) {
  static Address unix(Path socket) {
    return new Address(Transport.UNIX, socket, 0);
  }

  /// A Unix socket of that name, or a port that is free now.
  static Address of(Transport transport, Workplace place, String name) throws IOException {
    return switch (transport) {
      case UNIX -> unix(place.resolve(name + ".sock"));
      case TCP -> new Address(Transport.TCP, place.resolve(name + ".sock"), freePort());
    };
  }

  static int freePort() throws IOException {
    try (ServerSocket any = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return any.getLocalPort();
    }
  }

  String uri(String export) {
    return switch (transport) {
      case UNIX -> "nbd+unix:///" + export + "?socket=" + socket;
      case TCP -> "nbd://127.0.0.1:" + port + "/" + export;
    };
  }

  /// Whether somebody takes a connection there now.
  boolean answers() {
    try (SocketChannel channel = connect()) {
      return channel.isConnected();
    } catch (IOException e) {
      // Nobody listens yet: the caller asks again.
      return false;
    }
  }

  SocketChannel connect() throws IOException {
    SocketAddress address =
        switch (transport) {
          case UNIX -> UnixDomainSocketAddress.of(socket);
          case TCP -> new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        };
    SocketChannel channel =
        switch (transport) {
          case UNIX -> SocketChannel.open(StandardProtocolFamily.UNIX);
          case TCP -> SocketChannel.open();
        };
    try {
      if (channel.connect(address)) {
        return channel;
      }
      throw new IOException(address + ": not connected");
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }
}
