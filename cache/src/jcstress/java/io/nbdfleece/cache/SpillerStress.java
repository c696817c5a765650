// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/// Work, and a delivery, that come up while the background task is about to end are seen to: by
/// this run of it or by another one.
@JCStressTest
@Outcome(id = "1, 1", expect = Expect.ACCEPTABLE, desc = "both were seen to, once")
@State
public class SpillerStress implements Spiller.Source {
  private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final Deliveries deliveries = new Deliveries();
  private final Spiller spiller =
      new Spiller(this, new LateSlotFile(SpillerStress::noFile), 4096, tasks::add, deliveries);
  private boolean available;
  private int done;
  private int delivered;

  public SpillerStress() {
    spiller.want();
    spiller.kick();
  }

  private static SlotFile noFile() throws IOException {
    throw new IOException("there is no file");
  }

  @Actor
  public void owner() {
    synchronized (this) {
      available = true;
      deliveries.add(() -> delivered++);
      spiller.want();
    }
    spiller.kick();
  }

  @Actor
  public void worker() {
    tasks.remove().run();
  }

  @Arbiter
  public void end(II_Result result) {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
    result.r1 = done;
    result.r2 = delivered;
  }

  @Override
  public synchronized SpillWork next() {
    if (available) {
      available = false;
      done++;
    }
    return null;
  }

  @Override
  public void wrote(List<RamCopy> copies, int[] checksums) {
    throw new IllegalStateException("nothing was written");
  }

  @Override
  public void writeFailed(RamCopy copy, IOException error) {
    throw new IllegalStateException(error);
  }

  @Override
  public void punched(SpillWork.Punch punch) {
    throw new IllegalStateException("nothing was punched");
  }
}
