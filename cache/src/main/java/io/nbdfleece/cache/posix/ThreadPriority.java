// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

/// How soon the system runs a thread when there are more than processors.
public final class ThreadPriority {
  /// A thread that is ten steps nicer gets about a tenth of the time of another one, as long as
  /// both want to run; alone it gets all (sched(7)).
  private static final int STEPS = 10;

  private ThreadPriority() {}

  /// Lets other threads go before the calling one from now on, for good.
  public static void giveWay() {
    LinuxCalls.nice(STEPS);
  }
}
