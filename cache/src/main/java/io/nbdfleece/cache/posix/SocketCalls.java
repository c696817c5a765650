// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.nbdfleece.cache.posix.LinuxCalls.CallArea;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// Like [LinuxCalls], of sockets. A class of its own because binding costs time, and many servers
/// need none of these.
final class SocketCalls {
  private static final MethodHandle SOCKET =
      LinuxCalls.bind("socket", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
  private static final MethodHandle SENDTO =
      LinuxCalls.bind(
          "sendto",
          0,
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle GETSOCKNAME =
      LinuxCalls.bind(
          "getsockname", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));
  private static final MethodHandle SENDFILE =
      LinuxCalls.bind(
          "sendfile", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG));
  private static final MethodHandle SEND =
      LinuxCalls.bind(
          "send", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));

  private SocketCalls() {}

  static int socket(int family, int type) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      result = (int) SOCKET.invokeExact(area.state, family, type, 0);
    } catch (Throwable t) {
      throw LinuxCalls.unexpected(t);
    }
    return LinuxCalls.outcome(area, result);
  }

  /// @param flags MSG_ constants
  static long sendto(int fd, MemorySegment bytes, int flags, MemorySegment address) {
    CallArea area = CallArea.ofThread();
    int addressBytes = Math.toIntExact(address.byteSize());
    long result;
    try {
      do {
        result =
            (long)
                SENDTO.invokeExact(
                    area.state, fd, bytes, bytes.byteSize(), flags, address, addressBytes);
      } while (LinuxCalls.interrupted(area, result));
    } catch (Throwable t) {
      throw LinuxCalls.unexpected(t);
    }
    return LinuxCalls.outcome(area, result);
  }

  /// @param length an int: in, the room at `address`; out, what the address takes
  static int getsockname(int fd, MemorySegment address, MemorySegment length) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      result = (int) GETSOCKNAME.invokeExact(area.state, fd, address, length);
    } catch (Throwable t) {
      throw LinuxCalls.unexpected(t);
    }
    return LinuxCalls.outcome(area, result);
  }

  /// @param flags MSG_ constants
  static long send(int socket, MemorySegment bytes, int flags) {
    CallArea area = CallArea.ofThread();
    long result;
    try {
      do {
        result = (long) SEND.invokeExact(area.state, socket, bytes, bytes.byteSize(), flags);
      } while (LinuxCalls.interrupted(area, result));
    } catch (Throwable t) {
      throw LinuxCalls.unexpected(t);
    }
    return LinuxCalls.outcome(area, result);
  }

  /// Puts bytes of a file into a socket, by reference where that can be done.
  static long sendfile(int socket, int fd, long offset, long count) {
    CallArea area = CallArea.ofThread();
    area.offset.set(JAVA_LONG, 0, offset);
    long result;
    try {
      do {
        result = (long) SENDFILE.invokeExact(area.state, socket, fd, area.offset, count);
      } while (LinuxCalls.interrupted(area, result));
    } catch (Throwable t) {
      throw LinuxCalls.unexpected(t);
    }
    return LinuxCalls.outcome(area, result);
  }
}
