// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.base.TerminationSignals;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.cli.control.QmpLimits;
import io.nbdfleece.cli.control.QmpServer;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.EventSubscription;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.fleecing.nbd.EngineExports;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerTls;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// The life of one server: start everything or nothing, serve, end in order.
///
/// ```
///   start: store, disks ─▶ NBD server ─▶ control socket ─▶ pid file ─▶ READY=1 ─▶ --run
///   end:   --run ended ─▶ STOPPING=1 ─▶ control socket ─▶ NBD server drained ─▶ disks synced
/// ```
///
/// [#run] belongs to one thread. Signals and the `quit` command only wake it: nothing is torn down
/// on their threads, and the process leaves through `main`, so that its exit code is the one that
/// `run` returned. SIGHUP reads certificates and keys again. A second SIGINT or SIGTERM ends the
/// process at once, see [EndSignals].
public final class ServeProcess {
  private static final System.Logger LOG = System.getLogger("nbdfleece.serve");
  private static final Duration DRAIN = Duration.ofSeconds(30);

  /// The process that started the launcher.
  private static final String PARENT_PROPERTY = "nbdfleece.parent";

  /// Java lets TLS 1.2 clients renegotiate: handshakes at our cost, and replies that wait behind
  /// one that never ends are beyond the limits. It asks for this at the first handshake.
  private static final String NO_RENEGOTIATION = "jdk.tls.rejectClientInitiatedRenegotiation";

  private final ServeOptions options;
  private final ReadyReport report;
  private final ServeEvents events = new ServeEvents();
  private final EndSignals endSignals = new EndSignals(System::nanoTime);
  private volatile Optional<CaptiveCommand> command = Optional.empty();

  /// @param report told once, when clients can connect
  public ServeProcess(ServeOptions options, ReadyReport report) {
    this.options = options;
    this.report = report;
  }

  /// Serves until a signal, `quit`, or the end of the command of `--run`, whose status it returns.
  /// Fails, leaving nothing behind, when it cannot start.
  public int run() throws IOException {
    System.setProperty(NO_RENEGOTIATION, System.getProperty(NO_RENEGOTIATION, "true"));
    FileLimit.require(
        FileLimit.needed(options.server().limits().eventLoopCount(), options.disks().size()));
    checkDisks();
    ServeLog.install(options.isCaptive());
    if (!TerminationSignals.handle(this::onSignal)) {
      LOG.log(Level.WARNING, "this JVM cannot handle signals: they end the server at once");
    }
    if (options.life().exitWithParent()) {
      stopWithParent();
    }
    ServiceNotifier notifier = ServiceNotifier.of(System.getenv(), ProcessHandle.current().pid());
    int clusterBytes = clusterBytes();
    long scratchBytesMax = scratchBytesMax(clusterBytes);
    int status;
    try (FleecingEngine engine = FleecingEngine.open(engineConfig(clusterBytes, scratchBytesMax))) {
      for (DiskPlace disk : options.disks()) {
        if (disk.upstream().isPresent()) {
          var _ =
              engine.addDisk(
                  disk.config(),
                  UpstreamDisk.open(disk.config(), disk.upstream().get(), options.upstream()));
        } else {
          var _ = engine.addDisk(disk.config());
        }
      }
      status = serve(engine, notifier, scratchBytesMax);
      LOG.log(Level.INFO, "stopped serving: syncing the disks");
    }
    LOG.log(Level.INFO, "ended");
    return status;
  }

  /// Ends [#run]. Any thread; returns at once.
  public void stop() {
    events.stop();
  }

  private int serve(FleecingEngine engine, ServiceNotifier notifier, long scratchBytesMax)
      throws IOException {
    try (Teardown started = new Teardown()) {
      if (options.privatePlace().isPresent()) {
        options.privatePlace().get().create();
        started.add(options.privatePlace().get()::remove);
      }
      CommandedExports commanded =
          new CommandedExports(
              engine, new CommandedNbdServer.Terms(options.server(), options.insecure()));
      EventSubscription told = engine.subscribe(commanded.events()::engineEvent);
      started.add(told::close);
      NbdServer server =
          NbdServer.start(
              options.server(),
              commanded.catalog(new EngineExports(engine, options.allowedNames())));
      started.add(() -> server.close(DRAIN));
      EngineTarget target =
          new EngineTarget(
              engine,
              ServerUris.printed(server.uris(), options.server().tls()),
              commanded,
              options.store().scratchDirectory(),
              options.store().snapshotDefaults(),
              this::stop);
      started.add(target.graph()::close);
      options.control().prepareDirectory();
      started.add(commanded::close);
      started.add(
          QmpServer.start(
                  options.control().path(), target, QmpLimits.defaults(), options.life().qmpGroup())
              ::close);
      if (options.life().pidFile().isPresent()) {
        started.add(PidFile.write(options.life().pidFile().get())::close);
      }
      report.ready(target, options, scratchBytesMax);
      notifier.ready(statusText());
      command = startCommand(server);
      started.add(this::endCommand);
      serveUntilStopped(server, notifier);
      notifier.stopping();
      int status = endCommand();
      LOG.log(
          Level.INFO,
          "ending: no new requests, finishing those in flight (at most {0} s)",
          DRAIN.toSeconds());
      return status;
    }
  }

  private Optional<CaptiveCommand> startCommand(NbdServer server) throws IOException {
    Optional<String> line = options.life().run();
    if (line.isEmpty()) {
      return Optional.empty();
    }
    Map<String, String> variables = CaptiveVariables.of(options, server.uris().getFirst());
    return Optional.of(CaptiveCommand.start(line.get(), variables, this::stop));
  }

  /// Its status; the same again when it has ended already.
  private int endCommand() {
    return command.map(CaptiveCommand::end).orElse(ExitCode.OK.number());
  }

  private void serveUntilStopped(NbdServer server, ServiceNotifier notifier) {
    while (true) {
      switch (events.next(notifier.tickNanos())) {
        case STOP -> {
          return;
        }
        case RELOAD -> {
          notifier.reloading();
          reload(server);
          notifier.ready(statusText());
        }
        case TICK -> notifier.alive();
      }
    }
  }

  private void reload(NbdServer server) {
    if (options.server().tls().mode() == ServerTls.Mode.OFF) {
      LOG.log(Level.INFO, "nothing to reload: there is no TLS");
      return;
    }
    try {
      server.reloadTls();
      LOG.log(Level.INFO, "TLS: certificates and keys are read again, for new connections");
    } catch (IOException e) {
      LOG.log(Level.WARNING, "TLS: not reloaded, the old ones stay in use: {0}", Messages.of(e));
    }
  }

  private void onSignal(String name) {
    if (name.equals("HUP")) {
      LOG.log(Level.INFO, "signal SIGHUP: reloading certificates and keys");
      events.reload();
      return;
    }
    switch (endSignals.next(name)) {
      case END -> {
        LOG.log(Level.INFO, "signal SIG{0}", name);
        stop();
      }
      case ECHO -> LOG.log(Level.DEBUG, "signal SIG{0} came twice", name);
      case END_AT_ONCE -> {
        LOG.log(Level.WARNING, "second signal SIG{0}: ending at once", name);
        endAtOnce();
      }
    }
  }

  /// Waits for nothing, but leaves nothing behind that is of no use without us.
  private void endAtOnce() {
    try {
      command.ifPresent(CaptiveCommand::kill);
      if (options.privatePlace().isPresent()) {
        options.privatePlace().get().removeWithSockets();
      }
    } catch (IOException | RuntimeException e) {
      LOG.log(Level.WARNING, "cannot remove the private directory: {0}", e.getMessage());
    } finally {
      Runtime.getRuntime().halt(ExitCode.INTERRUPTED.number());
    }
  }

  /// The launcher tells who its parent was: one that ended before we look is not the one we have
  /// now, which took over its orphans.
  private void stopWithParent() {
    Optional<ProcessHandle> parent = ProcessHandle.current().parent();
    long expected = Long.getLong(PARENT_PROPERTY, 0);
    if (parent.isEmpty() || (expected != 0 && parent.get().pid() != expected)) {
      LOG.log(Level.INFO, "the process that started us has ended already");
      stop();
      return;
    }
    var _ =
        parent
            .get()
            .onExit()
            .thenRun(
                () -> {
                  LOG.log(Level.INFO, "the process that started us has ended");
                  stop();
                });
  }

  private String statusText() {
    return "serving "
        + ShownNames.list(options.disks().stream().map(disk -> disk.config().name()).toList());
  }

  private void checkDisks() throws CommandFailure {
    for (DiskPlace disk : options.disks()) {
      DiskConfig config = disk.config();
      if (disk.upstream().isEmpty() && !Files.exists(Path.of(config.location()))) {
        throw new CommandFailure(
            ExitCode.NOT_FOUND,
            "disk " + config.name() + ", " + config.location() + ": no such file: check the path");
      }
    }
    checkEachIsAnother();
  }

  /// Their locks would refuse it, too, but take us for another program.
  private void checkEachIsAnother() throws CommandFailure {
    List<DiskPlace> files =
        options.disks().stream().filter(disk -> disk.upstream().isEmpty()).toList();
    for (int i = 0; i < files.size(); i++) {
      for (int j = 0; j < i; j++) {
        DiskConfig later = files.get(i).config();
        DiskConfig earlier = files.get(j).config();
        if (later.access() == DiskConfig.Access.READ_WRITE
            && earlier.access() == DiskConfig.Access.READ_WRITE
            && isSame(Path.of(later.location()), Path.of(earlier.location()))) {
          throw new CommandFailure(
              ExitCode.BUSY,
              "disk "
                  + later.name()
                  + ", "
                  + later.location()
                  + ": is disk "
                  + earlier.name()
                  + " already: give each disk a file of its own");
        }
      }
    }
  }

  private static boolean isSame(Path one, Path other) {
    try {
      return Files.isSameFile(one, other);
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "cannot compare", e); // opening it tells why
      return false;
    }
  }

  private int clusterBytes() {
    return options
        .store()
        .clusterBytes()
        .map(Long::intValue)
        .orElseGet(() -> EngineConfig.clusterBytesFor(diskBytes()));
  }

  /// All disks together; empty when there are none, or one of unknown size.
  private OptionalLong diskBytes() {
    long bytes = 0;
    for (DiskPlace disk : options.disks()) {
      if (disk.upstream().isPresent()) {
        return OptionalLong.empty();
      }
      Path path = Path.of(disk.config().location());
      try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
        bytes += file.sizeBytes();
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "cannot tell the size", e); // opening it tells why
        return OptionalLong.empty();
      }
    }
    return options.disks().isEmpty() ? OptionalLong.empty() : OptionalLong.of(bytes);
  }

  private EngineConfig engineConfig(int clusterBytes, long scratchBytesMax) throws CommandFailure {
    options.store().checkRoom(clusterBytes);
    try {
      return new EngineConfig(
          clusterBytes,
          options.store().ramBytes(),
          options.store().scratchDirectory(),
          scratchBytesMax,
          EngineConfig.IO_THREADS_DEFAULT,
          options.store().stateDirectory(),
          options.store().guestFirst());
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(ExitCode.USAGE, Messages.of(e) + ": see --help", e);
    }
  }

  private long scratchBytesMax(int clusterBytes) throws IOException {
    Path directory = options.store().scratchDirectory();
    if (Files.exists(directory) && !Files.isDirectory(directory)) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "scratch directory, "
              + directory
              + ": is not a directory: give --scratch a directory, where a file without a name is"
              + " made");
    }
    if (!Files.isDirectory(directory)) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          "scratch directory, " + directory + ": no such directory: create it, or give --scratch");
    }
    Optional<Long> given = options.store().scratchBytesMax();
    long freeBytes = Files.getFileStore(directory).getUsableSpace();
    long halfBytes = freeBytes / 2 < clusterBytes ? 0 : freeBytes / 2;
    long bytesMax = given.orElse(halfBytes);
    if (bytesMax > freeBytes || (given.isEmpty() && bytesMax == 0)) {
      LOG.log(
          Level.WARNING,
          "scratch directory {0} has only {1} free: snapshots break when RAM and that are full:"
              + " make room, or choose another with --scratch{2}",
          directory,
          ByteSize.format(freeBytes),
          bytesMax == 0 ? "; now it is not used at all" : "");
    }
    return bytesMax;
  }

  /// Tells the user where to find what.
  public interface ReadyReport {
    void ready(ControlTarget target, ServeOptions options, long scratchBytesMax);
  }
}
