// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.control.QmpEventType.ShutdownCause;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/// The control socket. One virtual thread accepts; each client has one that reads and answers and
/// one that writes. They end with [#close], which any thread may call.
public final class QmpServer implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("nbdfleece.control");

  /// After accepting a client has failed.
  private static final long RETRY_NANOS = Duration.ofSeconds(1).toNanos();

  /// For all clients together to read that we end.
  private static final Duration FAREWELL = Duration.ofSeconds(2);

  private final UnixSocket socket;
  private final ControlTarget target;
  private final QmpLimits limits;
  private final QmpAccess access;
  private final QmpCommands commands = new QmpCommands();
  private final Set<QmpSession> sessions = ConcurrentHashMap.newKeySet();
  private final AtomicLong sessionNumber = new AtomicLong();
  private final AtomicBoolean endTold = new AtomicBoolean();

  // Of the thread that accepts: each run of surplus clients is told once.
  private boolean surplusTold;

  private QmpServer(UnixSocket socket, ControlTarget target, QmpLimits limits, QmpAccess access) {
    this.socket = socket;
    this.target = target;
    this.limits = limits;
    this.access = access;
  }

  /// Listens at `path` for the user we run as and root; when it returns, clients can connect.
  /// Fails, leaving nothing behind, with a message that names the path and says what to do.
  public static QmpServer start(Path path, ControlTarget target, QmpLimits limits)
      throws IOException {
    return start(path, target, limits, Optional.empty());
  }

  /// The same, also for the members of a group.
  public static QmpServer start(
      Path path, ControlTarget target, QmpLimits limits, Optional<String> group)
      throws IOException {
    return start(path, target, limits, QmpAccess.of(group));
  }

  static QmpServer start(Path path, ControlTarget target, QmpLimits limits, QmpAccess access)
      throws IOException {
    QmpServer server =
        new QmpServer(UnixSocket.listen(path, access.group()), target, limits, access);
    Thread.ofPlatform().daemon().name("qmp-accept").start(server::accept);
    return server;
  }

  /// Stops listening, removes the socket, tells all clients and ends their sessions.
  @Override
  public void close() throws IOException {
    if (!socket.isOpen()) {
      return;
    }
    try {
      socket.close();
    } finally {
      tellEnd(ShutdownCause.HOST_SIGNAL);
      long untilNanos = System.nanoTime() + FAREWELL.toNanos();
      for (QmpSession session : sessions) {
        session.end(Duration.ofNanos(Math.max(0, untilNanos - System.nanoTime())));
      }
    }
  }

  private void accept() {
    boolean failureTold = false;
    while (socket.isOpen()) {
      SocketChannel client;
      try {
        client = socket.accept();
        failureTold = false;
      } catch (IOException e) {
        if (socket.isOpen() && !failureTold) {
          failureTold = true;
          LOG.log(
              Level.WARNING,
              "control socket: cannot accept clients, tried again each second: {0}",
              e.getMessage());
        }
        if (socket.isOpen()) {
          // Whoever waits to be accepted would make it fail again at once.
          LockSupport.parkNanos(RETRY_NANOS);
        }
        continue;
      }
      try {
        serve(client);
      } catch (IOException e) {
        LOG.log(Level.WARNING, "control socket: a client was lost: {0}", e.getMessage());
      }
    }
  }

  private void serve(SocketChannel channel) throws IOException {
    if (sessions.size() >= limits.clientsMax()) {
      String surplus = "more than " + limits.clientsMax() + " clients use the control socket";
      if (!surplusTold) {
        surplusTold = true;
        LOG.log(Level.WARNING, "{0}: refused until some have left", surplus);
      }
      refuse(channel, QmpException.generic(surplus + ": end one of them, or wait", ExitCode.BUSY));
      return;
    }
    surplusTold = false;
    Optional<String> refusal = access.refusal(channel);
    if (refusal.isPresent()) {
      LOG.log(Level.WARNING, "control socket: a client was refused: {0}", refusal.get());
      refuse(channel, QmpException.generic(refusal.get()));
      return;
    }
    QmpSession session = new QmpSession(channel, commands, target, limits, new Quitting());
    sessions.add(session);
    if (!socket.isOpen()) {
      session.close();
    }
    // Not a virtual one: commands make native calls, which wait on a disk that hangs and would hold
    // one of the few threads that carry those.
    Thread.ofPlatform()
        .daemon()
        .name("qmp-" + sessionNumber.incrementAndGet())
        .start(() -> runToItsEnd(session));
  }

  /// Does not wait for the client: what it gets fits into the buffer of a new socket.
  private static void refuse(SocketChannel channel, QmpException reason) throws IOException {
    try (channel) {
      channel.configureBlocking(false);
      int _ = channel.write(Outbox.bytes(reason.json()));
    }
  }

  private void tellEnd(ShutdownCause cause) {
    if (endTold.compareAndSet(false, true)) {
      target.events().shutdown(cause);
    }
  }

  private final class Quitting implements QmpSession.Ending {
    @Override
    public void announce() {
      tellEnd(ShutdownCause.HOST_QMP_QUIT);
    }

    @Override
    public void begin() {
      target.quit();
    }
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
