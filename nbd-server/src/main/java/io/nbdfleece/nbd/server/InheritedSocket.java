// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdUri;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/// A listening socket that another program, e.g. systemd, has left open for us.
///
/// @param descriptor does not block; belongs to the caller, in place of the one that was inherited
/// @param uri where it is bound
record InheritedSocket(int descriptor, NbdUri uri) {
  // asm-generic/socket.h; the same on every processor that Java runs on.
  private static final int SOL_SOCKET = 1;
  private static final int SO_TYPE = 3;
  private static final int SO_ACCEPTCONN = 30;
  private static final int SO_PROTOCOL = 38;
  private static final int SO_DOMAIN = 39;

  private static final int AF_UNIX = 1;
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;
  private static final int SOCK_STREAM = 1;
  private static final int IPPROTO_TCP = 6;

  /// Takes over a descriptor after a close look: anything but a listening stream socket of a kind
  /// that we serve is refused, and then left alone.
  static InheritedSocket adopt(int inherited) throws IOException {
    String what = "inherited descriptor " + inherited;
    if (!isSocket(inherited)) {
      throw new IOException(what + ": is not a socket (expected: a listening TCP or Unix socket)");
    }
    Socket socket = new Socket(inherited);
    int domain = socket.getIntOpt(SOL_SOCKET, SO_DOMAIN);
    boolean isUnix = domain == AF_UNIX;
    if (!isUnix && domain != AF_INET && domain != AF_INET6) {
      throw new IOException(
          what + ": is a socket of address family " + domain + " (expected: TCP or Unix)");
    }
    if (socket.getIntOpt(SOL_SOCKET, SO_TYPE) != SOCK_STREAM
        || (!isUnix && socket.getIntOpt(SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP)) {
      throw new IOException(
          what
              + ": is not a stream socket (expected: ListenStream= in the unit, not"
              + " ListenDatagram= or ListenSequentialPacket=)");
    }
    if (socket.getIntOpt(SOL_SOCKET, SO_ACCEPTCONN) == 0) {
      throw new IOException(what + ": does not listen (expected: Accept=no in the socket unit)");
    }
    NbdUri uri = isUnix ? unixUri(socket, what) : tcpUri(socket, what);
    return new InheritedSocket(nonBlocking(socket), uri);
  }

  private static boolean isSocket(int descriptor) throws IOException {
    Path link = Path.of("/proc/self/fd", Integer.toString(descriptor));
    if (!Files.isSymbolicLink(link)) {
      throw new IOException("inherited descriptor " + descriptor + ": is not open");
    }
    return Files.readSymbolicLink(link).toString().startsWith("socket:");
  }

  private static NbdUri unixUri(Socket socket, String what) throws IOException {
    DomainSocketAddress address = socket.localDomainSocketAddress();
    String path = address == null ? "" : address.path();
    if (path.isEmpty() || path.charAt(0) == 0) {
      throw new IOException(what + ": is a Unix socket without a file (expected: a path)");
    }
    return new NbdUri.Unix(Path.of(path), "");
  }

  private static NbdUri tcpUri(Socket socket, String what) throws IOException {
    InetSocketAddress address = socket.localAddress();
    if (address == null) {
      throw new IOException(what + ": has no address");
    }
    return new NbdUri.Tcp(address.getAddress().getHostAddress(), address.getPort(), "");
  }

  /// The same socket under another number, not blocking: systemd clears that flag, and an event
  /// loop must not wait in accept(). Neither Java nor Netty has a call that sets it, but a
  /// descriptor that travels over a Unix socket gets it on arrival.
  private static int nonBlocking(Socket inherited) throws IOException {
    Path directory =
        Files.createTempDirectory(
            "nbd",
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    DomainSocketAddress place = new DomainSocketAddress(directory.resolve("s").toString());
    Socket mailbox = Socket.newSocketDomain();
    Socket sender = Socket.newSocketDomain();
    try {
      mailbox.bind(place);
      mailbox.listen(1);
      if (!sender.connect(place)) {
        throw new IOException("cannot connect to " + place.path());
      }
      FileDescriptor receiver = new FileDescriptor(mailbox.accept(new byte[128]));
      try {
        if (sender.sendFd(inherited.intValue()) < 0) {
          throw new IOException("cannot pass a descriptor on");
        }
        int descriptor = new Socket(receiver.intValue()).recvFd();
        if (descriptor < 0) {
          throw new IOException("a descriptor passed on did not arrive");
        }
        inherited.close();
        return descriptor;
      } finally {
        receiver.close();
      }
    } finally {
      sender.close();
      mailbox.close();
      Files.deleteIfExists(directory.resolve("s"));
      Files.delete(directory);
    }
  }
}
