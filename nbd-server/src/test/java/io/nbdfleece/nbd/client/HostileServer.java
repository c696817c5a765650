// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.atomic.AtomicLong;

/// Listens on a Unix socket and plays the [HostileSession]s it is given, one connection each.
final class HostileServer implements AutoCloseable {
  private final Optional<Path> socket;
  private final ServerSocketChannel listener;
  private final BlockingQueue<HostileSession> sessions = new ArrayBlockingQueue<>(1);
  private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
  private final Thread acceptor;

  /// Sessions that the client, or the script, ended before they were over.
  private final AtomicLong hangUpCount = new AtomicLong();

  /// On a Unix socket.
  HostileServer(Path directory) throws IOException {
    Path path = directory.resolve("hostile.sock");
    socket = Optional.of(path);
    listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    listener.bind(UnixDomainSocketAddress.of(path));
    acceptor = Thread.ofPlatform().daemon().name("hostile-server").start(this::accept);
  }

  /// On a TCP port.
  HostileServer() throws IOException {
    socket = Optional.empty();
    listener = ServerSocketChannel.open();
    listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    acceptor = Thread.ofPlatform().daemon().name("hostile-server").start(this::accept);
  }

  NbdUri uri() throws IOException {
    return listener.getLocalAddress() instanceof InetSocketAddress tcp
        ? new NbdUri.Tcp(tcp.getAddress().getHostAddress(), tcp.getPort(), "disk")
        : new NbdUri.Unix(socket.orElseThrow(), "disk");
  }

  /// What the next client meets.
  void next(HostileSession session) {
    sessions.add(session);
  }

  private void accept() {
    while (listener.isOpen()) {
      try {
        HostileSession session = sessions.take();
        try (SocketChannel connection = listener.accept()) {
          if (socket.isEmpty()) {
            // Sends small pieces: each would wait for the client's delayed acknowledgement.
            connection.setOption(StandardSocketOptions.TCP_NODELAY, true);
          }
          session.serve(connection, clock);
        } finally {
          session.over.countDown();
        }
      } catch (IOException hungUp) {
        hangUpCount.incrementAndGet();
      } catch (InterruptedException closed) {
        return;
      }
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    acceptor.interrupt();
    clock.shutdown();
    if (socket.isPresent()) {
      Files.deleteIfExists(socket.get());
    }
  }
}
