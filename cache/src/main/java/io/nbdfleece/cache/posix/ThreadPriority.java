// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

/// How soon the system runs a thread when there are more than processors.
public final class ThreadPriority {
  /// A thread that is ten steps nicer gets about a tenth of the time of another one, as long as
  /// both want to run; alone it gets all (sched(7)).
  private static final int STEPS = 10;

  /// The shortest that Linux takes (sched_setattr(2)).
  private static final long TURN_NANOS = 100_000;

  private ThreadPriority() {}

  /// Has the calling thread run as soon as it has something to do, instead of after the turn of the
  /// thread that is running, a millisecond or more: its own turns are short in return. The time
  /// that it gets in all remains the same. For good, from Linux 6.12 on; systems before that know
  /// no such wish, and one may be refused, which changes nothing.
  public static void runAtOnce() {
    long _ = LinuxCalls.setTimeSlice(TURN_NANOS);
  }

  /// Lets other threads go before the calling one from now on, for good.
  public static void giveWay() {
    LinuxCalls.nice(STEPS);
  }
}
