// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/// While open, keeps the log off the console and remembers, for each thread, the first error that
/// the product logged there, or the first warning of Netty: that is where an error ends that was
/// thrown inside of a channel's handlers. What the product warns of is expected where things fail.
final class ErrorLog implements AutoCloseable {
  private final Map<Thread, Throwable> errors = new ConcurrentHashMap<>();
  private final List<Logger> loggers =
      List.of(Logger.getLogger("io.nbdfleece"), Logger.getLogger("io.netty"));
  private final List<@Nullable Level> levels;
  private final Handler handler =
      new Handler() {
        @Override
        public void publish(LogRecord record) {
          Throwable error = new AssertionError("logged: " + record.getMessage());
          if (record.getThrown() != null) {
            error.initCause(record.getThrown());
          }
          errors.putIfAbsent(Thread.currentThread(), error);
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };

  ErrorLog() {
    levels = loggers.stream().<@Nullable Level>map(Logger::getLevel).toList();
    loggers.getFirst().setLevel(Level.SEVERE);
    loggers.getLast().setLevel(Level.WARNING);
    for (Logger logger : loggers) {
      logger.setUseParentHandlers(false);
      logger.addHandler(handler);
    }
  }

  /// Throws what this thread logged since the last call.
  void raise() {
    if (errors.remove(Thread.currentThread()) instanceof AssertionError error) {
      throw error;
    }
  }

  @Override
  public void close() {
    for (int index = 0; index < loggers.size(); index++) {
      loggers.get(index).removeHandler(handler);
      loggers.get(index).setUseParentHandlers(true);
      loggers.get(index).setLevel(levels.get(index));
    }
  }
}
