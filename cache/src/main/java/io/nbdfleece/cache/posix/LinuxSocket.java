// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.*;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;

/// What the JDK's own sockets cannot do. Any thread.
public final class LinuxSocket {
  private LinuxSocket() {}

  /// Sends one datagram to a Unix socket, as sd_notify(3) does. Waits while the receiver's queue is
  /// full.
  ///
  /// @param address path of the socket, or `@` and a name for one in the abstract name space
  public static void sendDatagram(String address, byte[] datagram) throws IOException {
    byte[] name = address.getBytes(UTF_8);
    boolean isAbstract = name.length > 0 && name[0] == '@';
    if (name.length < 2 || name.length >= SUN_PATH_BYTES) {
      throw new IOException(
          "socket address: '" + address + "' (expected: 2 to " + (SUN_PATH_BYTES - 1) + " bytes)");
    }
    int fd = checked("socket", SocketCalls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC));
    try (Arena arena = Arena.ofConfined()) {
      // An abstract name begins with a zero byte and ends where the address does.
      int pathBytes = isAbstract ? name.length : name.length + 1;
      MemorySegment target = arena.allocate(SUN_PATH_OFFSET + pathBytes, Short.BYTES);
      target.set(ValueLayout.JAVA_SHORT, 0, (short) AF_UNIX);
      MemorySegment.copy(name, 0, target, ValueLayout.JAVA_BYTE, SUN_PATH_OFFSET, name.length);
      if (isAbstract) {
        target.set(ValueLayout.JAVA_BYTE, SUN_PATH_OFFSET, (byte) 0);
      }
      MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, datagram);
      long sent = SocketCalls.sendto(fd, bytes, MSG_NOSIGNAL, target);
      if (sent < 0) {
        throw new PosixException("send to " + address, (int) -sent);
      }
    } finally {
      int closed = LinuxCalls.close(fd);
      assert closed == 0 : closed;
    }
  }

  /// The address that a socket is bound to: an [InetSocketAddress], or a [UnixDomainSocketAddress],
  /// whose path is empty when it has none. Fails for anything else, e.g. a file.
  ///
  /// @param descriptor number in this process
  public static SocketAddress localAddress(int descriptor) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(SOCKADDR_BYTES, Long.BYTES);
      MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_INT, SOCKADDR_BYTES);
      int result = SocketCalls.getsockname(descriptor, address, length);
      int _ = checked("descriptor " + descriptor, result);
      int family = address.get(ValueLayout.JAVA_SHORT, 0);
      return switch (family) {
        case AF_UNIX -> unix(address, length.get(ValueLayout.JAVA_INT, 0));
        case AF_INET -> internet(address, SIN_ADDRESS_OFFSET, 4);
        case AF_INET6 -> internet(address, SIN6_ADDRESS_OFFSET, 16);
        default -> throw new IOException("descriptor " + descriptor + ": no TCP or Unix socket");
      };
    }
  }

  private static SocketAddress unix(MemorySegment address, int addressBytes) {
    int end = Math.min(addressBytes, SUN_PATH_OFFSET + SUN_PATH_BYTES);
    int pathBytes = 0;
    while (SUN_PATH_OFFSET + pathBytes < end
        && address.get(ValueLayout.JAVA_BYTE, SUN_PATH_OFFSET + pathBytes) != 0) {
      pathBytes++;
    }
    byte[] path = address.asSlice(SUN_PATH_OFFSET, pathBytes).toArray(ValueLayout.JAVA_BYTE);
    return UnixDomainSocketAddress.of(new String(path, UTF_8));
  }

  private static SocketAddress internet(MemorySegment address, int offset, int addressBytes)
      throws IOException {
    int port =
        Byte.toUnsignedInt(address.get(ValueLayout.JAVA_BYTE, SIN_PORT_OFFSET)) << 8
            | Byte.toUnsignedInt(address.get(ValueLayout.JAVA_BYTE, SIN_PORT_OFFSET + 1));
    byte[] number = address.asSlice(offset, addressBytes).toArray(ValueLayout.JAVA_BYTE);
    return new InetSocketAddress(InetAddress.getByAddress(number), port);
  }

  private static int checked(String operation, int result) throws PosixException {
    if (result < 0) {
      throw new PosixException(operation, -result);
    }
    return result;
  }
}
