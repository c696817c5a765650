// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How many files this process may open (`ulimit -n`). With too few the server would fail anywhere,
/// also in the JDK and in Netty, whose errors name neither the cause nor a way out.
final class FileLimit {
  /* Measured: an idle server with one disk has 18 files open and 6 more for each event loop (three
   * descriptors in each of two groups). The margin is for what comes and goes: the bitmaps of a
   * disk, a few clients, and what the JVM opens meanwhile. */
  private static final long OWN = 40;
  private static final long PER_EVENT_LOOP = 6;
  private static final long PER_DISK = 5;

  private static final Path LIMITS = Path.of("/proc/self/limits");
  private static final Pattern SOFT = Pattern.compile("(?m)^Max open files +(\\d+) ");

  private FileLimit() {}

  /// What it takes to start.
  static long needed(int eventLoopCount, int diskCount) {
    return OWN + PER_EVENT_LOOP * eventLoopCount + PER_DISK * diskCount;
  }

  /// Fails when so many would be too many.
  static void require(long needed) throws IOException {
    check(Files.readString(LIMITS), needed);
  }

  /// @param limits the text of proc_pid_limits(5)
  static void check(String limits, long needed) throws CommandFailure {
    OptionalLong limit = soft(limits);
    if (limit.isPresent() && limit.getAsLong() < needed) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "ulimit -n "
              + limit.getAsLong()
              + " is too small: give at least "
              + needed
              + " (LimitNOFILE= under systemd), and one more for each client");
    }
  }

  /// Empty when there is none.
  private static OptionalLong soft(String limits) {
    Matcher line = SOFT.matcher(limits);
    return line.find() ? OptionalLong.of(Long.parseLong(line.group(1))) : OptionalLong.empty();
  }
}
