// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.delta.FullImage;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;

/// Copies one export. [#run] once, by one thread; [#abort] by any.
public final class Pull {
  /// What to do after an interruption.
  public static final String GO_ON = "run the same command again to go on";

  private static final long OPEN_SECONDS_MAX = 5;

  private final NbdUri uri;
  private final PullOptions options;
  private final Progress progress;
  // Opening the target, or the abort, whichever comes first.
  private final AtomicBoolean begun = new AtomicBoolean();
  // Empty when it could not be opened.
  private final CompletableFuture<Optional<PullTarget>> opened = new CompletableFuture<>();

  public Pull(NbdUri uri, PullOptions options, Progress progress) {
    this.uri = uri;
    this.options = options;
    this.progress = progress;
  }

  /// Copies all of it. When it fails, with a [CommandFailure] that names the export and what to do,
  /// no FILE is left behind, but with `resume` what a later run goes on with.
  public PullSummary run() throws IOException {
    PullTargets.check(options);
    long startNanos = System.nanoTime();
    String label =
        options.label().orElse(uri.exportName().isEmpty() ? uri.toString() : uri.exportName());
    Optional<DirtyRanges> dirty = dirtyRanges();
    try (PullConnections connections = PullConnections.open(uri, options.connections())) {
      PullSource source = PullSource.of(uri, connections.info());
      PullTarget target = open(source, connections, dirty);
      try {
        PullLoop loop =
            new PullLoop(
                connections, target, progress, label, startNanos, options.reconnectDelay());
        loop.run();
        finish(target, source);
        progress.finished(loop.state());
        return new PullSummary(
            label,
            target.name(),
            source.sizeBytes(),
            loop.state().dataBytes(),
            target.isDelta() ? 0 : target.done().totalBytes(),
            System.nanoTime() - startNanos,
            connections.count(),
            target.isDelta() ? target.done().totalBytes() : 0);
      } catch (IOException e) {
        progress.failed();
        throw ended(target, explain(label, e));
      } catch (RuntimeException | Error e) {
        progress.failed();
        PullTarget.Left _ = target.keep();
        throw e;
      }
    }
  }

  private Optional<DirtyRanges> dirtyRanges() throws IOException {
    return options.since().isEmpty()
        ? Optional.empty()
        : Optional.of(DirtyRanges.ask(uri, options.since().get().bitmap()));
  }

  private PullTarget open(
      PullSource source, PullConnections connections, Optional<DirtyRanges> dirty)
      throws IOException {
    if (dirty.isPresent()) {
      dirty.get().checkStill(uri, connections.info());
    }
    if (!begun.compareAndSet(false, true)) {
      throw new IOException("interrupted");
    }
    Optional<PullTarget> target = Optional.empty();
    try {
      target =
          Optional.of(
              dirty.isPresent()
                  ? PullTargets.openDelta(options, source, dirty.get())
                  : PullTargets.open(options, source));
      return target.get();
    } finally {
      boolean _ = opened.complete(target);
    }
  }

  private void finish(PullTarget target, PullSource source) throws IOException {
    Optional<FullImage> image =
        target.image().map(file -> new FullImage(file, source.description()));
    if (image.isPresent()) {
      image.get().forget();
    }
    target.finish(options.sync());
    image.ifPresent(FullImage::note);
  }

  private static IOException ended(PullTarget target, IOException error) {
    ExitCode code = error instanceof CommandFailure failure ? failure.code() : ExitCode.FAILED;
    String text = Messages.of(error);
    boolean partlyReleased = text.contains(Snapshot.RELEASED_BY_CLIENT_TEXT);
    if (code == ExitCode.SNAPSHOT_BROKEN && !partlyReleased) {
      // It will never yield data again, so there is nothing to go on with.
      target.discard();
      return error;
    }
    if (target.keep() != PullTarget.Left.RESUMABLE) {
      return error;
    }
    String advice =
        partlyReleased
            ? "what has come is kept, and cannot be completed: delete it if it is of no use: "
                + ResumableFileTarget.namesOf(target.name())
            : code == ExitCode.NOT_FOUND
                ? "what has come is kept, in case that the export comes back. A snapshot never"
                    + " does: take a new one, and delete "
                    + ResumableFileTarget.namesOf(target.name())
                : "what has come is kept: " + GO_ON;
    return new CommandFailure(code, text + "; " + advice, error);
  }

  /// For a process that is about to end: removes what was written so far, or with `resume` makes it
  /// durable.
  ///
  /// @return what there is then
  public PullTarget.Left abort() {
    Optional<PullTarget> target =
        begun.compareAndSet(false, true) ? Optional.empty() : awaitOpened();
    if (target.isPresent()) {
      return target.get().keep();
    }
    return PullTargets.isInterrupted(options) ? PullTarget.Left.RESUMABLE : PullTarget.Left.NOTHING;
  }

  private Optional<PullTarget> awaitOpened() {
    try {
      return opened.get(OPEN_SECONDS_MAX, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      // A pipe that nobody reads; nothing is left of that.
      return Optional.empty();
    } catch (ExecutionException e) {
      throw new IllegalStateException("never completed with a failure", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
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
      String errno = text.contains(refused.error().name()) ? "" : " (" + refused.error() + ")";
      boolean released = isOfOurs(refused, Snapshot.RELEASED_TEXT);
      return new CommandFailure(
          released || isOfOurs(refused, Snapshot.BROKEN_TEXT)
              ? ExitCode.SNAPSHOT_BROKEN
              : ExitCode.FAILED,
          where + text + errno + (released ? ": take a new snapshot, and pull that" : ""),
          error);
    }
    return new CommandFailure(ExitCode.FAILED, where + text, error);
  }

  /// An NBD reply carries an errno, EIO for a disk that cannot be read as well as for a snapshot
  /// that broke or was released, and a text. So the text of our server is all there is to tell them
  /// apart; both sides take it from one constant.
  private static boolean isOfOurs(NbdException refused, String text) {
    return refused.error() == NbdError.EIO && Messages.of(refused).contains(text);
  }
}
