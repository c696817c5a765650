// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import java.io.PrintStream;
import java.util.Locale;

/// A bar on a terminal, redrawn in place at most ten times a second:
///
/// `vda@nightly 42%|████▏ | 4.2/10.0 GiB 812 MiB/s eta 0:07`
public final class ProgressBar implements Progress {
  private static final long INTERVAL_NANOS = 100_000_000L;
  private static final int BAR_COLUMNS_MIN = 10;
  private static final int BAR_COLUMNS_MAX = 30;
  private static final String EIGHTHS = " ▏▎▍▌▋▊▉";

  private final PrintStream out;
  private final int columns;
  private final String indent;
  private long nextNanos;
  private boolean drawn;

  /// @param columns width of the terminal
  public ProgressBar(PrintStream out, int columns, String indent) {
    this.out = out;
    this.columns = columns;
    this.indent = indent;
  }

  @Override
  public void update(PullState state) {
    if (state.elapsedNanos() >= nextNanos) {
      nextNanos = state.elapsedNanos() + INTERVAL_NANOS;
      draw(state);
    }
  }

  @Override
  public void finished(PullState state) {
    draw(state);
    out.print('\n');
    out.flush();
  }

  @Override
  public void failed() {
    if (drawn) {
      out.print('\n');
      out.flush();
    }
  }

  private void draw(PullState state) {
    // Erase to the end of the line, as the new one may be shorter.
    out.print("\r" + render(state) + "\u001b[K");
    out.flush();
    drawn = true;
  }

  String render(PullState state) {
    String left = indent + state.label() + String.format(Locale.ROOT, " %3d%%|", state.percent());
    String right =
        "| "
            + ByteSize.formatPart(state.doneBytes(), state.totalBytes())
            + "  "
            + ByteSize.formatRate(state.dataBytesPerSecond())
            + timeLeft(state);
    int room = columns - 1 - left.length() - right.length();
    int bar = Math.clamp(room, BAR_COLUMNS_MIN, BAR_COLUMNS_MAX);
    String line = left + bar(state.fraction(), bar) + right;
    // A line that wraps cannot be redrawn in place.
    return line.length() < columns ? line : line.substring(0, Math.max(0, columns - 1));
  }

  private static String timeLeft(PullState state) {
    if (state.percent() == 100) {
      return "  in " + Durations.format(state.elapsedNanos());
    }
    long seconds = state.secondsLeft();
    return seconds < 0 ? "" : "  eta " + Durations.clock(seconds);
  }

  static String bar(double fraction, int columns) {
    int eighths = (int) (fraction * columns * 8);
    StringBuilder bar = new StringBuilder("█".repeat(eighths / 8));
    if (eighths % 8 != 0) {
      bar.append(EIGHTHS.charAt(eighths % 8));
    }
    return bar.append(" ".repeat(columns - bar.length())).toString();
  }
}
