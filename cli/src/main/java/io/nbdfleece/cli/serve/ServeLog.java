// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/// The log: standard error, one line per event, no stack traces. Under systemd each line carries
/// its priority (sd-daemon(3)) and leaves the time to the journal.
///
/// A line must be possible when the process can open no more files. So what Java reads from a file
/// to tell the time is read when the log is made: once that has failed it fails for ever, and an
/// event loop, or the end on a signal, would go with it.
final class ServeLog extends Formatter {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", Locale.ROOT);

  private final boolean journal;
  private final boolean traces;
  private final ZoneId zone = ZoneId.systemDefault();

  ServeLog(boolean journal, boolean traces) {
    this.journal = journal;
    this.traces = traces;
    String first = time(Instant.now());
    assert !first.isEmpty();
  }

  /// Sets up `java.util.logging`, where the loggers of all libraries end.
  ///
  /// @param captive whether we run for one command, whose terminal it is: warnings only then
  static void install(boolean captive) {
    boolean debug = System.getenv("NBDFLEECE_DEBUG") != null;
    LogManager.getLogManager().reset();
    Handler handler = new ConsoleHandler();
    boolean journal = System.getenv("JOURNAL_STREAM") != null;
    handler.setFormatter(new ServeLog(journal, debug));
    handler.setLevel(Level.ALL);
    Logger root = Logger.getLogger("");
    root.addHandler(handler);
    root.setLevel(debug ? Level.FINE : captive && !journal ? Level.WARNING : Level.INFO);
  }

  @Override
  public String format(LogRecord event) {
    StringBuilder line = new StringBuilder();
    if (journal) {
      line.append('<').append(priority(event.getLevel())).append('>');
    } else {
      line.append(time(event.getInstant()))
          .append(' ')
          .append(event.getLevel().getName())
          .append(' ');
    }
    line.append(oneLine(formatMessage(event)));
    for (Throwable e = event.getThrown(); e != null; e = e.getCause()) {
      line.append(": ").append(oneLine(String.valueOf(e)));
      if (traces) {
        for (StackTraceElement frame : e.getStackTrace()) {
          line.append("\n    at ").append(frame);
        }
      }
    }
    return line.append('\n').toString();
  }

  private String time(Instant instant) {
    return TIME.format(instant.atZone(zone));
  }

  private static int priority(Level level) {
    if (level.intValue() >= Level.SEVERE.intValue()) {
      return 3;
    }
    if (level.intValue() >= Level.WARNING.intValue()) {
      return 4;
    }
    return level.intValue() >= Level.INFO.intValue() ? 6 : 7;
  }

  // What a peer sends must not be able to forge a line or move the cursor.
  private static String oneLine(String text) {
    StringBuilder line = new StringBuilder(text.length());
    text.chars().forEach(c -> line.append(Character.isISOControl(c) ? '?' : (char) c));
    return line.toString();
  }
}
