// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.base.TerminationSignals;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.cli.control.QmpLimits;
import io.nbdfleece.cli.control.QmpServer;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.nbd.EngineExports;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/// The life of one server: start everything or nothing, serve, end in order.
///
/// ```
///   start: store, disks ─▶ NBD server ─▶ control socket ─▶ pid file ─▶ ready lines
///   end:   pid file, control socket ◀─ NBD server drained ◀─ disks synced, store freed
/// ```
///
/// [#run] belongs to one thread. Signals and the `quit` command only release its wait: nothing is
/// torn down on their threads, and the process leaves through `main`, so that its exit code is the
/// one that `run` returned. A second signal ends the process at once.
public final class ServeProcess {
  private static final System.Logger LOG = System.getLogger("nbdfleece.serve");
  private static final Duration DRAIN = Duration.ofSeconds(30);

  private final ServeOptions options;
  private final ReadyReport report;
  private final CountDownLatch stop = new CountDownLatch(1);
  private final AtomicInteger signals = new AtomicInteger();

  /// @param report told once, when clients can connect
  public ServeProcess(ServeOptions options, ReadyReport report) {
    this.options = options;
    this.report = report;
  }

  /// Serves until a signal or `quit`. Fails, leaving nothing behind, when it cannot start.
  public ExitCode run() throws IOException {
    checkDisks();
    ServeLog.install();
    if (!TerminationSignals.handle(this::onSignal)) {
      LOG.log(Level.WARNING, "this JVM cannot handle signals: they end the server at once");
    }
    long scratchBytesMax = scratchBytesMax();
    EngineConfig engineConfig;
    try {
      engineConfig =
          new EngineConfig(
              options.clusterBytes(),
              options.ramBytes(),
              options.scratchDirectory(),
              scratchBytesMax,
              EngineConfig.IO_THREADS_DEFAULT);
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(ExitCode.USAGE, e.getMessage() + ": see --help", e);
    }
    try (FleecingEngine engine = FleecingEngine.open(engineConfig)) {
      for (DiskConfig disk : options.disks()) {
        engine.addDisk(disk);
      }
      serve(engine, scratchBytesMax);
      LOG.log(Level.INFO, "stopped serving: syncing the disks");
    }
    LOG.log(Level.INFO, "ended");
    return ExitCode.OK;
  }

  /// Ends [#run]. Any thread; returns at once.
  public void stop() {
    stop.countDown();
  }

  private void serve(FleecingEngine engine, long scratchBytesMax) throws IOException {
    NbdServer server = startServer(engine);
    try {
      EngineTarget target =
          new EngineTarget(
              engine,
              server.uris(),
              options.scratchDirectory(),
              options.snapshotDefaults(),
              this::stop);
      options.control().prepareDirectory();
      try (QmpServer _ = QmpServer.start(options.control().path(), target, QmpLimits.defaults())) {
        if (options.pidFile().isPresent()) {
          try (PidFile _ = PidFile.write(options.pidFile().get())) {
            serveUntilStopped(target, scratchBytesMax);
          }
        } else {
          serveUntilStopped(target, scratchBytesMax);
        }
      }
    } finally {
      server.close(DRAIN);
    }
  }

  private NbdServer startServer(FleecingEngine engine) throws IOException {
    try {
      return NbdServer.start(
          new ServerConfig(options.listen(), ServerLimits.defaults()), new EngineExports(engine));
    } catch (IOException e) {
      String text = Messages.of(e);
      throw new CommandFailure(text.contains("in use") ? ExitCode.BUSY : ExitCode.FAILED, text, e);
    }
  }

  private void serveUntilStopped(EngineTarget target, long scratchBytesMax) {
    report.ready(target, options, scratchBytesMax);
    boolean interrupted = false;
    while (true) {
      try {
        stop.await();
        break;
      } catch (InterruptedException e) {
        // Nothing of ours interrupts this thread: somebody wants the process to end.
        interrupted = true;
        stop.countDown();
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    LOG.log(
        Level.INFO,
        "ending: no new requests, finishing those in flight (at most {0} s)",
        DRAIN.toSeconds());
  }

  private void onSignal(String name) {
    if (signals.incrementAndGet() > 1) {
      LOG.log(Level.WARNING, "second signal SIG{0}: ending at once", name);
      Runtime.getRuntime().halt(ExitCode.INTERRUPTED.number());
    }
    LOG.log(Level.INFO, "signal SIG{0}", name);
    stop();
  }

  private void checkDisks() throws CommandFailure {
    for (DiskConfig disk : options.disks()) {
      if (!Files.exists(Path.of(disk.location()))) {
        throw new CommandFailure(
            ExitCode.NOT_FOUND,
            "disk " + disk.name() + ", " + disk.location() + ": no such file: check the path");
      }
    }
  }

  private long scratchBytesMax() throws IOException {
    Path directory = options.scratchDirectory();
    if (!Files.isDirectory(directory)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          "scratch directory, " + directory + ": no such directory: create it, or give --scratch");
    }
    return options.scratchBytesMax().isPresent()
        ? options.scratchBytesMax().getAsLong()
        : Files.getFileStore(directory).getUsableSpace() / 2;
  }

  /// Tells the user where to find what.
  public interface ReadyReport {
    void ready(ControlTarget target, ServeOptions options, long scratchBytesMax);
  }
}
