// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;

/// Two operations on one cluster. The cluster map, the registered reads and the epochs have no
/// synchronisation of their own: the smallest thing that is concurrent is the hook, whose lock
/// guards them.
public class FleecingHookStress {
  private FleecingHookStress() {}

  /// I1, I3, I4: a read of the snapshot and the write that changes what it reads.
  @JCStressTest
  @Outcome(id = "1, 2, 1", expect = Expect.ACCEPTABLE, desc = "old data, and the write went on")
  @State
  public static class ReadAndWrite {
    private final OneClusterDisk disk = new OneClusterDisk();
    private final SnapshotView view = disk.freeze();
    private OneClusterDisk.Reading reading;

    @Actor
    public void reader() {
      reading = OneClusterDisk.read(view);
    }

    @Actor
    public void writer() {
      disk.overwrite();
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = reading.result();
      result.r2 = disk.shown();
      result.r3 = disk.store.held();
    }
  }

  /// I7: a read of a snapshot that ends, while nothing else protects what it reads.
  @JCStressTest
  @Outcome(id = "1, 0", expect = Expect.ACCEPTABLE, desc = "it came first")
  @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "it was refused")
  @State
  public static class ReadAndReleaseAndWrite {
    private final OneClusterDisk disk = new OneClusterDisk();
    private final SnapshotView view = disk.freeze();
    private OneClusterDisk.Reading reading;

    @Actor
    public void reader() {
      reading = OneClusterDisk.read(view);
    }

    @Actor
    public void releaser() {
      view.release();
      disk.overwrite();
    }

    @Arbiter
    public void end(II_Result result) {
      result.r1 = reading.result();
      result.r2 = disk.store.held();
    }
  }

  /// A discard, and the write that had to preserve what is discarded, and later need not.
  @JCStressTest
  @Outcome(id = "0, 2, 0", expect = Expect.ACCEPTABLE, desc = "discarded, written, nothing kept")
  @State
  public static class DiscardAndWrite {
    private final OneClusterDisk disk = new OneClusterDisk();
    private final SnapshotView view = disk.freeze();

    @Actor
    public void client() {
      view.discard(0, OneClusterDisk.CLUSTER, OneClusterDisk.NOBODY);
    }

    @Actor
    public void writer() {
      disk.overwrite();
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = OneClusterDisk.read(view).result();
      result.r2 = disk.shown();
      result.r3 = disk.store.held();
    }
  }

  /// A release, and the write that preserves for it.
  @JCStressTest
  @Outcome(id = "2, 0", expect = Expect.ACCEPTABLE, desc = "written, nothing kept")
  @State
  public static class ReleaseAndWrite {
    private final OneClusterDisk disk = new OneClusterDisk();
    private final SnapshotView view = disk.freeze();

    @Actor
    public void releaser() {
      view.release();
    }

    @Actor
    public void writer() {
      disk.overwrite();
    }

    @Arbiter
    public void end(II_Result result) {
      result.r1 = disk.shown();
      result.r2 = disk.store.held();
    }
  }

  /// Two writes of one cluster: one copy for both.
  @JCStressTest
  @Outcome(id = "1, 2, 1", expect = Expect.ACCEPTABLE, desc = "preserved once, both written")
  @State
  public static class TwoWrites {
    private final OneClusterDisk disk = new OneClusterDisk();
    private final SnapshotView view = disk.freeze();

    @Actor
    public void one() {
      disk.overwrite();
    }

    @Actor
    public void other() {
      disk.overwrite();
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = OneClusterDisk.read(view).result();
      result.r2 = disk.shown();
      result.r3 = disk.store.held();
    }
  }

  /// A freeze is wholly before a write or wholly after it.
  @JCStressTest
  @Outcome(id = "1, 2, 1", expect = Expect.ACCEPTABLE, desc = "frozen before, so preserved")
  @Outcome(id = "2, 2, 0", expect = Expect.ACCEPTABLE, desc = "frozen after, so from the disk")
  @State
  public static class FreezeAndWrite {
    private final OneClusterDisk disk = new OneClusterDisk();
    private SnapshotView view;

    @Actor
    public void freezer() {
      disk.hook.closeGate(() -> view = disk.freezeDrained());
    }

    @Actor
    public void writer() {
      disk.overwrite();
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = OneClusterDisk.read(view).result();
      result.r2 = disk.shown();
      result.r3 = disk.store.held();
    }
  }
}
