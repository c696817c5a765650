// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.TerminationSignals;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.nbd.EngineExports;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicBoolean;

/// The demonstration. [#run] once, by one thread.
public final class Demo {
  private static final int DISK_BLOCKS = 1 << 30 >> 12;
  // Small, so that a part of what is preserved has to go on to disk.
  private static final long RAM_BYTES = 24L << 20;
  private static final long SCRATCH_BYTES_MAX = 512L << 20;
  private static final Duration DRAIN = Duration.ofSeconds(5);

  private final long seed;
  private final DemoOutput output;

  /// @param terminal whether `out` can show a bar
  /// @param columns width of the terminal
  public Demo(long seed, boolean json, boolean terminal, int columns, PrintStream out) {
    this.seed = seed;
    this.output = new DemoOutput(out, json, terminal, columns);
  }

  /// Runs it; ends normally only when the frozen view was proven right. Nothing is left behind in
  /// any case but a kill that cannot be caught.
  public ExitCode run() throws IOException {
    output.line("nbdfleece demo: freeze a disk while it is being written, pull it, prove it");
    output.line("");
    long startNanos = System.nanoTime();
    try (DemoDirectory directory = DemoDirectory.create()) {
      AtomicBoolean interrupted = new AtomicBoolean();
      if (!TerminationSignals.handle(signal -> onSignal(directory, interrupted))) {
        output.line(
            "   (this JVM cannot handle signals: Ctrl-C would leave " + directory.path() + ")");
      }
      DemoContent content = new DemoContent(seed, DISK_BLOCKS);
      Path disk = directory.file("vda.img");
      directory.writeDisk(disk, content);
      output.done(
          "disk",
          ByteSize.format((long) DISK_BLOCKS * DemoContent.BLOCK_BYTES)
              + " sparse, "
              + ByteSize.format(content.baseBytes())
              + " of content: "
              + disk);
      serve(directory, disk, content);
    }
    output.figures().put("seconds", (System.nanoTime() - startNanos) / 1e9);
    output.finish();
    return ExitCode.OK;
  }

  private void serve(DemoDirectory directory, Path disk, DemoContent content) throws IOException {
    EngineConfig config =
        new EngineConfig(
            EngineConfig.clusterBytesFor(OptionalLong.of(Files.size(disk))),
            RAM_BYTES,
            directory.path(),
            SCRATCH_BYTES_MAX,
            EngineConfig.IO_THREADS_DEFAULT);
    try (FleecingEngine engine = FleecingEngine.open(config)) {
      var vda =
          engine.addDisk(new DiskConfig("vda", disk.toString(), DiskConfig.Access.READ_WRITE));
      assert vda.sizeBytes() > 0;
      NbdServer server =
          NbdServer.start(
              new ServerConfig(
                  List.of(new ServerConfig.Listen.Unix(directory.file("nbd.sock"))),
                  ServerLimits.defaults()),
              new EngineExports(engine));
      try {
        output.done("served", server.uris().getFirst().withExportName("vda").toString());
        new DemoScript(engine, server.uris().getFirst(), directory, content, output).play();
      } finally {
        server.close(DRAIN);
      }
    }
    output.line("");
    output.line("Nothing is left behind. Now with a disk of yours:");
    output.line("   ./nbdfleece serve disk.img                # then in another terminal:");
    output.line("   ./nbdfleece snapshot --name nightly       # prints the URI of the frozen view");
    output.line("   ./nbdfleece pull URI backup.img           # or: nbdcopy -p URI backup.img");
    output.line(
        "   ./nbdfleece status                        # what is preserved, what writes paid");
    output.line("   ./nbdfleece release nightly");
  }

  // Halts, because an orderly end would wait for pulls in flight; nothing outside the directory
  // needs an end: the store's file has no name.
  private static void onSignal(DemoDirectory directory, AtomicBoolean interrupted) {
    if (interrupted.getAndSet(true)) {
      return;
    }
    try {
      directory.close();
    } catch (IOException e) {
      System.err.println("nbdfleece: " + directory.path() + ": not removed: " + e.getMessage());
    }
    System.err.println("\nnbdfleece: interrupted: nothing is left behind");
    Runtime.getRuntime().halt(ExitCode.INTERRUPTED.number());
  }
}
