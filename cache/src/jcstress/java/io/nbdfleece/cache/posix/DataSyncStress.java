// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/// A write that ended before a sync was asked for is durable when that sync is told of, also when
/// another sync was about to begin.
@JCStressTest
@Outcome(id = "1", expect = Expect.ACCEPTABLE, desc = "it was durable")
@State
public class DataSyncStress implements Completion {
  private static final Completion NOBODY =
      new Completion() {
        @Override
        public void succeeded() {}

        @Override
        public void failed(IOException error) {
          throw new IllegalStateException(error);
        }
      };

  /// The page cache, the device, and the device when the sync was told of.
  private int written;

  private int durable;
  private int told;
  private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final DataSync sync = new DataSync(this::force, tasks::add);

  public DataSyncStress() {
    sync.request(NOBODY);
  }

  private void force() {
    durable = written;
  }

  @Actor
  public void writer() {
    written = 1;
    sync.request(this);
  }

  @Actor
  public void worker() {
    tasks.remove().run();
  }

  @Arbiter
  public void end(I_Result result) {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
    result.r1 = told;
  }

  @Override
  public void succeeded() {
    told = durable;
  }

  @Override
  public void failed(IOException error) {
    told = -1;
  }
}
