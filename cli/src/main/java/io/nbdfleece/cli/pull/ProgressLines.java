// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import java.io.PrintStream;

/// Lines for a log, when the percentage changed and three seconds have passed:
///
/// `vda@nightly: 42% (4.2/10.0 GiB) in 5.1 s, 812 MiB/s, eta 0:07`
public final class ProgressLines implements Progress {
  private static final long INTERVAL_NANOS = 3_000_000_000L;

  private final PrintStream out;
  private long nextNanos = INTERVAL_NANOS;
  private int shownPercent;

  public ProgressLines(PrintStream out) {
    this.out = out;
  }

  @Override
  public void update(PullState state) {
    if (state.elapsedNanos() >= nextNanos && state.percent() != shownPercent) {
      nextNanos = state.elapsedNanos() + INTERVAL_NANOS;
      shownPercent = state.percent();
      long seconds = state.secondsLeft();
      out.println(
          state.label()
              + ": "
              + state.percent()
              + "% ("
              + ByteSize.formatPart(state.doneBytes(), state.totalBytes())
              + ") in "
              + Durations.format(state.elapsedNanos())
              + ", "
              + ByteSize.formatRate(state.dataBytesPerSecond())
              + (seconds < 0 ? "" : ", eta " + Durations.clock(seconds)));
    }
  }

  @Override
  public void finished(PullState state) {
    // The summary that follows says it all.
  }

  @Override
  public void failed() {
    // The error message that follows says it all.
  }
}
