// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// Copies one export. [#run] once, by one thread; [#abort] by any.
public final class Pull {
  private final NbdUri uri;
  private final PullOptions options;
  private final Progress progress;
  private final AtomicReference<@Nullable PullTarget> openTarget = new AtomicReference<>();

  public Pull(NbdUri uri, PullOptions options, Progress progress) {
    this.uri = uri;
    this.options = options;
    this.progress = progress;
  }

  /// Copies all of it. When it fails, with a [CommandFailure] that names the export and what to do,
  /// no FILE is left behind.
  public PullSummary run() throws IOException {
    PullTargets.check(options.file(), options.force());
    long startNanos = System.nanoTime();
    String label =
        options.label().orElse(uri.exportName().isEmpty() ? uri.toString() : uri.exportName());
    try (PullConnections connections = PullConnections.open(uri, options.connections())) {
      long sizeBytes = connections.info().sizeBytes();
      PullTarget target = PullTargets.open(options.file(), options.force(), sizeBytes);
      openTarget.set(target);
      try {
        PullLoop loop = new PullLoop(connections, target, progress, label, startNanos);
        loop.run();
        target.finish(options.sync());
        progress.finished(loop.state());
        return new PullSummary(
            label,
            target.name(),
            sizeBytes,
            loop.state().dataBytes(),
            System.nanoTime() - startNanos,
            connections.count());
      } catch (IOException e) {
        progress.failed();
        target.discard();
        throw explain(label, e);
      }
    }
  }

  /// Removes what was written so far. For a process that is about to end.
  public void abort() {
    PullTarget target = openTarget.get();
    if (target != null) {
      target.discard();
    }
  }

  private static IOException explain(String label, IOException error) {
    if (!(error instanceof PieceFailure piece)) {
      return error;
    }
    IOException cause = piece.error();
    String text = Messages.of(cause);
    String where = label + " at offset " + piece.offsetBytes() + ": ";
    if (cause instanceof NbdException refused) {
      boolean broken = text.contains("broken");
      String errno = text.contains(refused.error().name()) ? "" : " (" + refused.error() + ")";
      return new CommandFailure(
          broken ? ExitCode.SNAPSHOT_BROKEN : ExitCode.FAILED, where + text + errno, error);
    }
    return new CommandFailure(ExitCode.FAILED, where + text, error);
  }
}
