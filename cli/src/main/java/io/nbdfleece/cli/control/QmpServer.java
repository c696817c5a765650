// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/// The control socket. One virtual thread accepts and one serves each client; they end with
/// [#close], which any thread may call.
public final class QmpServer implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("nbdfleece.control");

  private final UnixSocket socket;
  private final ControlTarget target;
  private final QmpLimits limits;
  private final QmpCommands commands = new QmpCommands();
  private final Set<QmpSession> sessions = ConcurrentHashMap.newKeySet();
  private final AtomicLong sessionNumber = new AtomicLong();

  private QmpServer(UnixSocket socket, ControlTarget target, QmpLimits limits) {
    this.socket = socket;
    this.target = target;
    this.limits = limits;
  }

  /// Listens at `path`; when it returns, clients can connect. Fails, leaving nothing behind, with a
  /// message that names the path and says what to do.
  public static QmpServer start(Path path, ControlTarget target, QmpLimits limits)
      throws IOException {
    QmpServer server = new QmpServer(UnixSocket.listen(path), target, limits);
    Thread.ofVirtual().name("qmp-accept").start(server::accept);
    return server;
  }

  /// Stops listening, removes the socket and ends all sessions.
  @Override
  public void close() throws IOException {
    try {
      socket.close();
    } finally {
      for (QmpSession session : sessions) {
        session.close();
      }
    }
  }

  private void accept() {
    while (socket.isOpen()) {
      try {
        serve(socket.accept());
      } catch (IOException e) {
        if (socket.isOpen()) {
          LOG.log(Level.WARNING, "control socket: cannot accept: {0}", e.getMessage());
        }
      }
    }
  }

  private void serve(SocketChannel channel) throws IOException {
    if (sessions.size() >= limits.clientsMax()) {
      LOG.log(Level.WARNING, "control socket: more than {0} clients: refused", sessions.size());
      channel.close();
      return;
    }
    QmpSession session = new QmpSession(channel, commands, target, limits);
    sessions.add(session);
    if (!socket.isOpen()) {
      session.close();
    }
    Thread.ofVirtual()
        .name("qmp-" + sessionNumber.incrementAndGet())
        .start(() -> runToItsEnd(session));
  }

  private void runToItsEnd(QmpSession session) {
    try (session) {
      session.run();
    } catch (IOException e) {
      // A client that leaves in the middle is no event; it shows in debug logs only.
      LOG.log(Level.DEBUG, "control socket: client gone: {0}", e.getMessage());
    } finally {
      sessions.remove(session);
    }
  }
}
