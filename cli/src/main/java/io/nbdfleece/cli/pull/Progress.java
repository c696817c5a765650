// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.Json;
import java.io.PrintStream;
import tools.jackson.databind.node.ObjectNode;

/// Shows how far a pull has come. Used by one thread. Time is given, so that a test can give its
/// own.
public interface Progress {

  /// So much is done now. Called often; shows it when it is worth showing.
  void update(PullState state);

  /// All is done; shows the state whatever was shown last.
  void finished(PullState state);

  /// It failed: leaves the terminal fit for an error message.
  void failed();

  /// Shows nothing.
  static Progress none() {
    return new Numbers(100, percent -> {});
  }

  /// `N/100` lines, as `nbdcopy --progress=FD`.
  static Progress numbers(PrintStream out) {
    return new Numbers(
        100,
        percent -> {
          out.print(percent + "/100\n");
          out.flush();
        });
  }

  /// JSON lines with restic's names, at most two a second.
  static Progress json(PrintStream out) {
    return new JsonLines(out);
  }

  /// Where numbers go.
  interface PercentSink {
    void percent(int percent);
  }

  /// Tells a sink when the percentage changed.
  final class Numbers implements Progress {
    private final int wholes;
    private final PercentSink sink;
    private int shown = -1;

    Numbers(int wholes, PercentSink sink) {
      this.wholes = wholes;
      this.sink = sink;
    }

    @Override
    public void update(PullState state) {
      int percent = Math.min(state.percent(), wholes - 1);
      if (percent > shown) {
        shown = percent;
        sink.percent(percent);
      }
    }

    @Override
    public void finished(PullState state) {
      shown = wholes;
      sink.percent(wholes);
    }

    @Override
    public void failed() {
      // A reader of numbers sees that they stop below 100.
    }
  }

  /// One JSON object a line.
  final class JsonLines implements Progress {
    private static final long INTERVAL_NANOS = 500_000_000L;

    private final PrintStream out;
    private long nextNanos;

    JsonLines(PrintStream out) {
      this.out = out;
    }

    @Override
    public void update(PullState state) {
      if (state.elapsedNanos() >= nextNanos) {
        nextNanos = state.elapsedNanos() + INTERVAL_NANOS;
        print(state);
      }
    }

    @Override
    public void finished(PullState state) {
      print(state);
    }

    @Override
    public void failed() {
      // The error line that follows says it.
    }

    private void print(PullState state) {
      ObjectNode line =
          Json.object()
              .put("message_type", "status")
              .put("export", state.label())
              .put("seconds_elapsed", state.elapsedNanos() / 1_000_000_000L)
              .put("seconds_remaining", Math.max(0, state.secondsLeft()))
              .put("percent_done", state.fraction())
              .put("total_bytes", state.totalBytes())
              .put("bytes_done", state.doneBytes())
              .put("data_bytes", state.dataBytes());
      out.println(Json.line(line));
      out.flush();
    }
  }
}
