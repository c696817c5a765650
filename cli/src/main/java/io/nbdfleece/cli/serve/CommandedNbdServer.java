// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.nbd.NamedExport;
import io.nbdfleece.fleecing.nbd.NamedExports;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import io.nbdfleece.nbd.server.ServerTls;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;

/// The NBD server that `nbd-server-start` opens: one more address, at which only the exports are
/// that were added by commands. Any thread; starting and stopping exclude each other.
final class CommandedNbdServer implements ControlTarget.NbdDoor, AutoCloseable {
  private static final System.Logger LOG = System.getLogger("nbdfleece.control");

  /// QEMU's 0 = no limit, here the largest number that a server takes.
  private static final int CONNECTIONS_MAX = 1_000_000;

  private static final Duration NO_DEADLINE = Duration.ofDays(24);
  private static final Duration DRAIN = Duration.ofSeconds(5);

  private final NamedExports exports;
  private final Terms terms;
  private final Duration drain;
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private Optional<NbdServer> server = Optional.empty();

  private volatile boolean running;

  CommandedNbdServer(NamedExports exports, Terms terms) {
    this(exports, terms, DRAIN);
  }

  /// @param drain how long its end waits for what is in flight
  CommandedNbdServer(NamedExports exports, Terms terms, Duration drain) {
    this.exports = exports;
    this.terms = terms;
    this.drain = drain;
  }

  /// What `serve` was given that holds here too.
  ///
  /// @param usual what the limits and the credentials of this server are taken from
  /// @param insecure whether other machines may reach us without encryption
  record Terms(ServerConfig usual, boolean insecure) {}

  @Override
  public void start(ControlTarget.NbdAddress address) throws IOException {
    lock.lock();
    try {
      if (server.isPresent()) {
        throw new CommandFailure(ExitCode.BUSY, "NBD server already running");
      }
      checkExposure(address);
      NbdServer started =
          NbdServer.start(
              new ServerConfig(
                  List.of(listen(address)),
                  limits(address),
                  tls(address),
                  terms.usual().threadStarts()),
              exports);
      server = Optional.of(started);
      running = true;
      LOG.log(Level.INFO, "NBD server started at {0}", started.uris().getFirst());
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void stop() throws IOException {
    lock.lock();
    try {
      if (server.isEmpty()) {
        throw new CommandFailure(ExitCode.NOT_FOUND, "NBD server not running");
      }
      running = false;
      server.get().close(drain);
      server = Optional.empty();
      LOG.log(Level.INFO, "NBD server stopped");
      // Their clients are gone; a request of theirs that hangs must not hang us.
      exports.removeAll().orTimeout(drain.toNanos(), TimeUnit.NANOSECONDS).join();
    } catch (CompletionException e) {
      throw hanging(e);
    } finally {
      lock.unlock();
    }
  }

  private IOException hanging(CompletionException because) {
    if (!(because.getCause() instanceof TimeoutException)) {
      return new IOException("an export cannot be deleted: " + because.getCause(), because);
    }
    String ids = exports.exports().stream().map(NamedExport::id).collect(Collectors.joining(", "));
    return new CommandFailure(
        ExitCode.BUSY,
        "NBD server stopped, but requests of its clients are not finished yet: the exports they are"
            + " at go when they are: "
            + ids);
  }

  @Override
  public boolean running() {
    return running;
  }

  /// Ends it with the process.
  @Override
  public void close() {
    lock.lock();
    try {
      running = false;
      server.ifPresent(started -> started.close(drain));
      server = Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  private void checkExposure(ControlTarget.NbdAddress address) throws CommandFailure {
    if (address.inet().isPresent()
        && !address.inet().get().getAddress().isLoopbackAddress()
        && !address.tls()
        && !terms.insecure()) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "addr: other machines could read and write the disks without encryption: give tls-creds,"
              + " or start the server with --insecure");
    }
  }

  private static ServerConfig.Listen listen(ControlTarget.NbdAddress address) {
    return address.unix().isPresent()
        ? new ServerConfig.Listen.Unix(address.unix().get())
        : new ServerConfig.Listen.Tcp(address.inet().orElseThrow());
  }

  private ServerLimits limits(ControlTarget.NbdAddress address) {
    return terms
        .usual()
        .limits()
        .withConnectionsMax(
            address.connectionsMax() == 0
                ? CONNECTIONS_MAX
                : Math.min(CONNECTIONS_MAX, address.connectionsMax()))
        .withHandshakeDeadline(
            address.handshakeMax().isZero() || address.handshakeMax().compareTo(NO_DEADLINE) > 0
                ? NO_DEADLINE
                : address.handshakeMax());
  }

  private ServerTls tls(ControlTarget.NbdAddress address) throws CommandFailure {
    if (!address.tls()) {
      return ServerTls.OFF;
    }
    if (terms.usual().tls().mode() == ServerTls.Mode.OFF) {
      throw new CommandFailure(
          ExitCode.NOT_TRUSTED,
          "tls-creds: the server has no TLS credentials: start it with --tls-certificates or"
              + " --tls-psk");
    }
    return new ServerTls(
        ServerTls.Mode.REQUIRE,
        terms.usual().tls().credentials(),
        terms.usual().tls().verifyClients());
  }
}
