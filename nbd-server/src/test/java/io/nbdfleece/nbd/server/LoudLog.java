// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/// While open, keeps whatever the product or Netty logs as a warning or worse, leak reports
/// included, and keeps the rest off the console.
public final class LoudLog implements AutoCloseable {
  private final Queue<String> said = new ConcurrentLinkedQueue<>();
  private final List<Logger> loggers =
      List.of(Logger.getLogger("io.nbdfleece"), Logger.getLogger("io.netty"));
  private final List<Level> levels;
  private final Handler handler =
      new Handler() {
        @Override
        public void publish(LogRecord record) {
          if (record.getLevel().intValue() >= Level.WARNING.intValue()) {
            Throwable thrown = record.getThrown();
            said.add(
                record.getLoggerName()
                    + ": "
                    + record.getMessage()
                    + (thrown == null ? "" : "\n" + stack(thrown)));
          }
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };

  public LoudLog() {
    // The root's level where there is none of its own.
    levels = loggers.stream().map(l -> l.getLevel() == null ? Level.INFO : l.getLevel()).toList();
    for (Logger logger : loggers) {
      logger.setLevel(Level.WARNING);
      logger.setUseParentHandlers(false);
      logger.addHandler(handler);
    }
  }

  private static String stack(Throwable thrown) {
    java.io.StringWriter text = new java.io.StringWriter();
    thrown.printStackTrace(new java.io.PrintWriter(text));
    return text.toString();
  }

  /// What was said since the last call.
  List<String> said() {
    List<String> all = List.copyOf(said);
    said.clear();
    return all;
  }

  /// Fails if anything was said since the last call.
  public void assertSilent(String when) {
    if (!said.isEmpty()) {
      String all = String.join("\n", said);
      said.clear();
      assertEquals("", all, when);
    }
  }

  @Override
  public void close() {
    for (int index = 0; index < levels.size(); index++) {
      loggers.get(index).removeHandler(handler);
      loggers.get(index).setUseParentHandlers(true);
      loggers.get(index).setLevel(levels.get(index));
    }
  }
}
