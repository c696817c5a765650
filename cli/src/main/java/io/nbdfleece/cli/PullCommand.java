// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.pull.Progress;
import io.nbdfleece.cli.pull.ProgressBar;
import io.nbdfleece.cli.pull.ProgressLines;
import io.nbdfleece.cli.pull.Pull;
import io.nbdfleece.cli.pull.PullOptions;
import io.nbdfleece.cli.pull.PullSummary;
import io.nbdfleece.cli.pull.PullTarget;
import io.nbdfleece.cli.remote.RemoteServer;
import io.nbdfleece.nbd.NbdUri;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `nbdfleece pull`.
@Command(
    name = "pull",
    description = {
      "Copies an NBD export into a file, a block device (with --force) or standard output (-).",
      "FILE is sparse, and appears only when it is complete; until then it is FILE.part."
    },
    sortOptions = false)
final class PullCommand implements Callable<Integer> {
  @Parameters(
      index = "0",
      paramLabel = "URI",
      description = "nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH; nbds: TLS")
  private String uri = "";

  @Parameters(index = "1", paramLabel = "FILE", description = "Where to; - = standard output.")
  private String file = "";

  @Option(
      names = "--since",
      paramLabel = "NAME",
      arity = "0..1",
      parameterConsumer = SinceName.Consumer.class,
      description = {
        "Copies only what has changed: FILE becomes a delta, FILE.map tells what it holds. See",
        "`nbdfleece apply`.",
        "NAME is the dirty bitmap of the export; it may be left out when there is only one."
      })
  private Optional<SinceName> since = Optional.empty();

  @Option(names = "--force", description = "Replaces FILE if it exists.")
  private boolean force;

  @Option(
      names = {"-C", "--connections"},
      paramLabel = "N",
      description = "Connections to use. Default: 4 if the export allows several, else 1.")
  private Optional<Integer> connections = Optional.empty();

  @Option(
      names = "--resume",
      description = {
        "Goes on with an interrupted pull, and makes this one such that it can be gone on "
            + "with: what has come stays in FILE.part, noted in FILE.part.map.",
        "Refused when server, export, size or description are not the same. A snapshot of "
            + "nbdfleece has a description of its own; of another server's export you vouch that "
            + "it has not changed."
      })
  private boolean resume;

  @Option(
      names = "--reconnect-delay",
      paramLabel = "SECONDS",
      defaultValue = "0",
      description = {"How long to try again when a connection breaks. Default: 0, not at all."})
  private int reconnectDelaySeconds;

  @Option(names = "--no-sync", description = "Does not wait until FILE is on stable storage.")
  private boolean noSync;

  @Option(
      names = "--progress",
      paramLabel = "WHAT",
      defaultValue = "auto",
      description = {
        "auto, bar, lines or none, on standard error;",
        "or the number of a file descriptor that gets N/100 lines."
      })
  private String progress = "auto";

  @Option(names = "--json", description = "Prints JSON lines: status, then summary.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    NbdUri from = RemoteServer.uri(uri);
    if (file.isEmpty()) {
      throw usage("FILE is empty: name one, or - for standard output");
    }
    if (connections.isPresent()
        && (connections.get() < 1 || connections.get() > PullOptions.CONNECTIONS_MAX)) {
      throw usage(
          "--connections "
              + connections.get()
              + ": give a number from 1 to "
              + PullOptions.CONNECTIONS_MAX);
    }
    if (json && file.equals("-")) {
      throw usage("--json with FILE -: standard output can carry only one: name a FILE");
    }
    if (resume && noSync) {
      throw usage(
          "--resume with --no-sync: only what is synced can be gone on with: leave one out");
    }
    if (since.isPresent() && (resume || file.equals("-"))) {
      throw usage(
          "--since with " + (resume ? "--resume" : "FILE -") + ": not possible: leave it out");
    }
    if (reconnectDelaySeconds < 0) {
      throw usage("--reconnect-delay " + reconnectDelaySeconds + ": give 0 or more seconds");
    }
    PullOptions options =
        new PullOptions(
            file,
            force,
            noSync ? PullTarget.Sync.NONE : PullTarget.Sync.FSYNC,
            connections.map(OptionalInt::of).orElse(OptionalInt.empty()),
            resume ? PullOptions.Resume.YES : PullOptions.Resume.NO,
            Duration.ofSeconds(reconnectDelaySeconds),
            Optional.empty(),
            since.map(name -> new PullOptions.Since(name.bitmap())));
    Pull pull = new Pull(from, options, progress());
    AtomicBoolean running = new AtomicBoolean(true);
    Thread cleanUp =
        Thread.ofPlatform().name("pull-abort").unstarted(() -> abort(pull, file, running));
    Runtime.getRuntime().addShutdownHook(cleanUp);
    try {
      report(pull.run());
    } catch (IOException e) {
      if (!running.compareAndSet(true, false)) {
        // The signal has said what there is to say, and the process is ending.
        awaitExit();
      }
      throw e;
    } finally {
      running.set(false);
    }
    return 0;
  }

  private static void awaitExit() {
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  // Runs at every exit of the process, and matters when a signal caused it: the JVM then ends with
  // 128 + the signal, 130 for Ctrl-C.
  private static void abort(Pull pull, String file, AtomicBoolean running) {
    if (running.compareAndSet(true, false)) {
      System.err.println("\nnbdfleece: interrupted: " + pull.abort().text(file));
    }
  }

  private void report(PullSummary summary) {
    if (json) {
      System.out.println(
          Json.line(
              Json.object()
                  .put("message_type", "summary")
                  .put("export", summary.label())
                  .put("file", summary.file())
                  .put("total_bytes", summary.totalBytes())
                  .put("data_bytes", summary.dataBytes())
                  .put("zero_bytes", summary.zeroBytes())
                  .put("resumed_bytes", summary.resumedBytes())
                  .put("unchanged_bytes", summary.unchangedBytes())
                  .put("connections", summary.connections())
                  .put("total_duration", summary.nanos() / 1e9)));
    } else if (!progress.equals("none")) {
      System.err.println(summary.label() + " -> " + summary.file() + ": " + summary);
    }
  }

  private Progress progress() throws IOException {
    if (json) {
      return Progress.json(System.out);
    }
    return switch (progress) {
      case "auto" -> Terminal.isErrTerminal() ? bar() : new ProgressLines(System.err);
      case "bar" -> bar();
      case "lines" -> new ProgressLines(System.err);
      case "none" -> Progress.none();
      default -> Progress.numbers(descriptor());
    };
  }

  private static Progress bar() {
    return new ProgressBar(System.err, Terminal.columns(), "");
  }

  private PrintStream descriptor() throws IOException {
    if (!progress.matches("\\d{1,5}")) {
      throw usage("--progress " + progress + ": give auto, bar, lines, none or a file descriptor");
    }
    return switch (progress) {
      case "1" -> System.out;
      case "2" -> System.err;
      default -> {
        try {
          yield new PrintStream(
              new FileOutputStream("/proc/self/fd/" + progress, true),
              true,
              StandardCharsets.US_ASCII);
        } catch (IOException e) {
          throw usage("--progress " + progress + ": no such file descriptor is open: open it");
        }
      }
    };
  }

  private static CommandFailure usage(String message) {
    return new CommandFailure(ExitCode.USAGE, message);
  }
}
