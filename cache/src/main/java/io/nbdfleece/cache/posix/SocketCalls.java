// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.nbdfleece.cache.posix.LinuxCalls.CallArea;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// Like [LinuxCalls], of sockets.
final class SocketCalls {
  private static final MethodHandle SOCKET = LinuxCalls.bindWords("socket");
  private static final MethodHandle SENDTO = LinuxCalls.bindWords("sendto");
  private static final MethodHandle GETSOCKNAME = LinuxCalls.bindWords("getsockname");
  private static final MethodHandle SENDFILE = LinuxCalls.bindWords("sendfile");
  private static final MethodHandle SEND = LinuxCalls.bindBuffer("send");

  private SocketCalls() {}

  static int socket(int family, int type) {
    return LinuxCalls.intCall(SOCKET, family, type, 0, 0);
  }

  /// The caller keeps both segments open until this returns.
  ///
  /// @param flags MSG_ constants
  static long sendto(int fd, MemorySegment bytes, int flags, MemorySegment address) {
    return LinuxCalls.longCall(
        SENDTO,
        fd,
        bytes.address(),
        bytes.byteSize(),
        flags,
        address.address(),
        address.byteSize());
  }

  /// The caller keeps both segments open until this returns.
  ///
  /// @param length an int: in, the room at `address`; out, what the address takes
  static int getsockname(int fd, MemorySegment address, MemorySegment length) {
    return LinuxCalls.intCall(GETSOCKNAME, fd, address.address(), length.address(), 0);
  }

  /// @param flags MSG_ constants
  static long send(int socket, MemorySegment bytes, int flags) {
    return LinuxCalls.bufferCall(SEND, socket, bytes, flags);
  }

  /// Puts bytes of a file into a socket, by reference where that can be done.
  static long sendfile(int socket, int fd, long offset, long count) {
    CallArea area = CallArea.ofThread();
    area.offset.set(JAVA_LONG, 0, offset);
    return LinuxCalls.longCall(SENDFILE, socket, fd, area.offset.address(), count, 0, 0);
  }
}
