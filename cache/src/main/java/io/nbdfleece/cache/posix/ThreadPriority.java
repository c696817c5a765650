// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// How soon the system runs a thread when there are more than processors.
public final class ThreadPriority {
  private static final System.Logger LOG = System.getLogger(ThreadPriority.class.getName());

  /// A thread that is ten steps nicer gets about a tenth of the time of another one, as long as
  /// both want to run; alone it gets all (sched(7)).
  private static final int STEPS = 10;

  private static final int NICE_MAX = 19;

  /// The shortest that Linux takes (sched_setattr(2)).
  private static final long TURN_NANOS = 100_000;

  /// The names of the threads on which HotSpot's optimising compiler runs.
  private static final Pattern OPTIMIZER = Pattern.compile("C2 Compiler.*\\s*");

  /// In proc_pid_stat(5), behind the name: the 19th field.
  private static final int NICE_FIELD_BEHIND_NAME = 16;

  private ThreadPriority() {}

  /// Has the calling thread run as soon as it has something to do, instead of after the turn of the
  /// thread that is running, a millisecond or more: its own turns are short in return. The time
  /// that it gets in all remains the same. For good, from Linux 6.12 on; systems before that know
  /// no such wish, and one may be refused, which changes nothing.
  public static void runAtOnce() {
    long _ = LinuxCalls.setTimeSlice(TURN_NANOS);
  }

  /// Lets other threads go before the calling one from now on, for good, with turns of the usual
  /// length. Those that it starts are like it.
  public static void giveWay() {
    long _ = LinuxCalls.setTimeSlice(0);
    LinuxCalls.nice(STEPS);
  }

  /// Lets all other threads go before java's optimising compiler, from now on, for good; it becomes
  /// so much nicer than the calling thread. Code runs before it has been optimised, only slower,
  /// whereas who waits for the simple compiler waits for a thread that interprets. Does nothing
  /// where there is none, or where it cannot be found. All its threads have to be there by then:
  /// java must not start more as there is more to do, as it does unless it is told so.
  public static void haveOptimizerGiveWay() {
    try (Stream<Path> threads = Files.list(Path.of("/proc/self/task"))) {
      String stat = Files.readString(Path.of("/proc/thread-self/stat"));
      String behindName = stat.substring(stat.lastIndexOf(')') + 2);
      int own = Integer.parseInt(behindName.split(" ", -1)[NICE_FIELD_BEHIND_NAME]);
      int nice = Math.min(NICE_MAX, own + STEPS);
      threads.filter(ThreadPriority::isOptimizer).forEach(thread -> setNice(thread, nice));
    } catch (IOException | UncheckedIOException e) {
      LOG.log(Level.DEBUG, "the optimising compiler goes on as before", e);
    }
  }

  private static boolean isOptimizer(Path thread) {
    try {
      return OPTIMIZER.matcher(Files.readString(thread.resolve("comm"))).matches();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "a thread without a name: it has ended, probably", e);
      return false;
    }
  }

  private static void setNice(Path thread, int nice) {
    int _ = LinuxCalls.setNice(Integer.parseInt(thread.getFileName().toString()), nice);
  }
}
