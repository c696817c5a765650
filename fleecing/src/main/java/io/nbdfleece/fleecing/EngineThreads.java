// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.DelayTimer;
import java.time.Instant;
import java.util.concurrent.Executor;

/// What an engine runs on: its threads, and the clocks that it goes by. A simulation plays all of
/// them on one thread.
interface EngineThreads {

  /// Nanoseconds since some instant.
  long nanoTime();

  /// The time on the wall.
  Instant wallTime();

  /// For what waits for devices. Rejects work after [#endWork].
  Executor workers();

  /// The same for the scratch file. Others, so that a scratch disk that is slow, or hangs, keeps
  /// nobody from disks: guests, and writes that give a copy up.
  default Executor scratchWorkers() {
    return workers();
  }

  /// Tells subscribers, one task after the other in the order they came. Rejects what is too much,
  /// and everything after [#endTelling].
  Executor teller();

  /// What guest writes pause by.
  DelayTimer pauses();

  /// Runs a task over and over until [#endTicks]; no two such tasks at a time.
  void repeat(long periodMillis, Runnable task);

  /// Runs a task once, unless [#endTicks] comes first. It must not wait.
  Due later(long delayMillis, Runnable task);

  /// Something that is to be run later.
  interface Due {
    /// It need not be run any more; perhaps it runs now.
    void cancel();
  }

  /// When this returns no periodic and no delayed task runs any more, and pauses are over.
  void endTicks();

  /// When this returns all work that was taken has been done.
  void endWork();

  /// Tells what has been handed over, for at most a second, and nothing after that.
  void endTelling();

  /// All of this.
  default void end() {
    endTicks();
    endWork();
    endTelling();
  }
}
