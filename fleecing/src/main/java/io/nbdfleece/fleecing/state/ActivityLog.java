// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.DurableMarks;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/// Names, on stable storage, the regions of a disk in which marks may be set that are not on stable
/// storage themselves.
///
/// **Threads.** Any thread. The log is written by one worker at a time; nobody else waits for
/// storage, and no I/O runs under the lock. Continuations run on that worker, or at once.
final class ActivityLog implements DurableMarks {
  /*
   * The state of a region, by what covers() sees / what the file names:
   *
   *   idle      no  / no
   *   wanted    no  / maybe   somebody waits for it, or will soon
   *   active    yes / yes
   *   retiring  no  / yes     its marks are being forced
   *   leaving   no  / maybe   its marks are forced; it is taken out of the file
   *
   *   idle -> wanted [whenCovered, ahead]     wanted -> active [forced]
   *   active -> retiring [beginRetiring]      retiring -> leaving [endRetiring]
   *   retiring, leaving -> active [whenCovered] until the file is about to be written without it
   *   leaving -> idle [forced]
   *
   * L1 A region that covers() affirms is named by the file on stable storage.
   * L2 A region is taken out only after all marks that a covered write has set were forced.
   *
   * L3 What is leaving is not covered: both are changed together under the lock.
   *
   * L2 against a writer that runs at the same time: it sets its marks, then asks covers(). Taking
   * out clears the region for covers(), then forces the marks. Both steps of both are sequentially
   * consistent. If the writer saw the region covered, then it asked before the clearing, its marks
   * were set before that, and the forcing finds them. If not, it calls whenCovered(), and waits
   * until the file names the region (again). So in either case the write reaches the disk only
   * when either its marks or its region are on stable storage.
   */
  private static final System.Logger LOGGER = System.getLogger(ActivityLog.class.getName());

  /// A region not written for so long is forgotten.
  static final int IDLE_SECONDS = 60;

  /// Regions that are recorded ahead of a sequential writer.
  private static final int AHEAD = 4;

  private static final int NEVER = Integer.MIN_VALUE / 2;

  private final LogLayout layout;
  private final StateFiles.PatchedFile file;
  private final Executor workers;
  private final Failed failed;
  private final int regionShift;
  private final int regionCount;

  /// What [#covers] affirms, one bit for each region.
  private final AtomicLongArray covered;

  /// The second of a region's last use. Written by racing threads: it only decides what is worth
  /// keeping.
  private final int[] usedSeconds;

  private volatile int nowSeconds;
  private final AtomicBoolean lookingAhead = new AtomicBoolean();
  private final Object lock = new Object();

  /// Surely named by the file on stable storage, whatever write of it is under way.
  @GuardedBy("lock")
  private final BitSet logged = new BitSet();

  @GuardedBy("lock")
  private BitSet wanted = new BitSet();

  @GuardedBy("lock")
  private BitSet leaving = new BitSet();

  @GuardedBy("lock")
  private List<Runnable> waiting = new ArrayList<>();

  /// A worker writes the file, or is about to.
  @GuardedBy("lock")
  private boolean writing;

  @GuardedBy("lock")
  private boolean ended;

  /// What the file holds; only for who writes it.
  private BitSet written = new BitSet();

  private final AtomicLong forces = new AtomicLong();

  /// Told once, before any write goes on without being logged.
  interface Failed {
    void failed(IOException error);
  }

  /// @param file with [LogLayout#empty] in it
  ActivityLog(LogLayout layout, StateFiles.PatchedFile file, Executor workers, Failed failed) {
    this.layout = layout;
    this.file = file;
    this.workers = workers;
    this.failed = failed;
    this.regionShift = layout.regionShift();
    this.regionCount = layout.regionCount();
    this.covered = new AtomicLongArray(Math.ceilDiv(regionCount, 64));
    this.usedSeconds = new int[regionCount];
    Arrays.fill(usedSeconds, NEVER);
  }

  @Override
  public boolean covers(long offsetBytes, long lengthBytes) {
    int last = (int) ((offsetBytes + lengthBytes - 1) >>> regionShift);
    int now = nowSeconds;
    for (int region = (int) (offsetBytes >>> regionShift); region <= last; region++) {
      if (!isCovered(region)) {
        return false;
      }
      if (usedSeconds[region] != now) {
        usedSeconds[region] = now;
        lookAhead(region, now);
      }
    }
    return true;
  }

  private boolean isCovered(int region) {
    return (covered.get(region >>> 6) >>> region & 1) != 0;
  }

  private void setCovered(int region) {
    covered.getAndUpdate(region >>> 6, bits -> bits | 1L << region);
  }

  /// For the first write of a second into a region: when it seems to belong to a sequential writer,
  /// records the next regions before it gets there.
  private void lookAhead(int region, int now) {
    int horizon = Math.min(region + AHEAD / 2, regionCount - 1);
    if (isSequential(region, now)
        && !isCovered(horizon)
        && lookingAhead.compareAndSet(false, true)) {
      try {
        workers.execute(() -> recordAhead(region));
      } catch (RejectedExecutionException e) {
        lookingAhead.set(false); // shutting down: a later write records its region itself
      }
    }
  }

  private boolean isSequential(int region, int now) {
    return region > 0 && now - usedSeconds[region - 1] <= 1;
  }

  private void recordAhead(int region) {
    boolean start;
    synchronized (lock) {
      start = false;
      if (!ended) {
        wantAhead(region);
        start = !writing && !wanted.isEmpty();
        writing |= start;
      }
    }
    lookingAhead.set(false);
    if (start) {
      writeAll();
    }
  }

  @GuardedBy("lock")
  private void wantAhead(int region) {
    for (int i = region + 1; i <= region + AHEAD && i < regionCount; i++) {
      if (!isCovered(i)) {
        wanted.set(i);
      }
    }
  }

  @Override
  public void whenCovered(long offsetBytes, long lengthBytes, Runnable then) {
    boolean wait = false;
    boolean start = false;
    synchronized (lock) {
      int now = nowSeconds;
      int last = (int) ((offsetBytes + lengthBytes - 1) >>> regionShift);
      for (int i = (int) (offsetBytes >>> regionShift); i <= last && !ended; i++) {
        usedSeconds[i] = now;
        if (logged.get(i)) {
          leaving.clear(i);
          setCovered(i);
        } else {
          wanted.set(i);
          wait = true;
          if (isSequential(i, now)) {
            wantAhead(i);
          }
        }
      }
      if (wait) {
        waiting.add(then);
        start = !writing;
        writing = true;
      }
    }
    if (!wait) {
      then.run();
    } else if (start) {
      onWorker(this::writeAll);
    }
  }

  private void onWorker(Runnable task) {
    try {
      workers.execute(task);
    } catch (RejectedExecutionException e) {
      task.run(); // shutting down: better here than never
    }
  }

  /// Writes the file until nothing is left to do.
  private void writeAll() {
    boolean more = true;
    while (more) {
      more = writeOnce();
    }
  }

  private boolean writeOnce() {
    BitSet target;
    BitSet adding;
    List<Runnable> ready;
    boolean stop;
    synchronized (lock) {
      ready = waiting;
      waiting = new ArrayList<>();
      adding = wanted;
      wanted = new BitSet();
      leaving.andNot(adding);
      logged.andNot(leaving);
      leaving = new BitSet();
      target = (BitSet) logged.clone();
      target.or(adding);
      stop = ended || target.equals(written);
      if (stop) {
        writing = false;
        cover(adding); // the file names them already
      }
    }
    if (stop) {
      if (isEnded()) {
        closeFile();
      }
      runAll(ready);
      return false;
    }
    try {
      write(target);
    } catch (IOException | RuntimeException | VirtualMachineError e) { // no memory, perhaps
      fail(e instanceof IOException failure ? failure : new IOException(e));
      runAll(ready);
      return true; // once more, for those who came meanwhile
    }
    synchronized (lock) {
      cover(adding);
    }
    runAll(ready);
    return true;
  }

  @GuardedBy("lock")
  private void cover(BitSet regions) {
    logged.or(regions);
    leaving.andNot(
        regions); // one that was wanted and covered before may have become idle meanwhile
    int recorded = nowSeconds - 2; // not now: the first write into one recorded ahead looks ahead
    for (int i = regions.nextSetBit(0); i >= 0; i = regions.nextSetBit(i + 1)) {
      usedSeconds[i] = Math.max(usedSeconds[i], recorded);
      setCovered(i);
    }
  }

  private void write(BitSet target) throws IOException {
    BitSet changed = (BitSet) target.clone();
    changed.xor(written);
    int sector = -1;
    for (int i = changed.nextSetBit(0); i >= 0; i = changed.nextSetBit(i + 1)) {
      if (LogLayout.sectorOf(i) != sector) {
        sector = LogLayout.sectorOf(i);
        file.write(LogLayout.sectorOffset(sector), layout.sector(sector, target));
      }
    }
    file.force();
    forces.incrementAndGet();
    written = target;
  }

  private static void runAll(List<Runnable> ready) {
    for (Runnable each : ready) {
      try {
        each.run();
      } catch (RuntimeException | Error e) { // the others must go on, and the log too
        LOGGER.log(System.Logger.Level.ERROR, "a write that waited for the activity log", e);
      }
    }
  }

  /// Begins to forget the regions that were not written for a while.
  ///
  /// @return them; when there are any, all marks are to be forced, then [#endRetiring] called
  BitSet beginRetiring() {
    BitSet idle = new BitSet();
    synchronized (lock) {
      for (int i = logged.nextSetBit(0); i >= 0 && !ended; i = logged.nextSetBit(i + 1)) {
        if (isCovered(i) && nowSeconds - usedSeconds[i] >= IDLE_SECONDS) {
          int region = i;
          covered.getAndUpdate(region >>> 6, bits -> bits & ~(1L << region));
          idle.set(i);
        }
      }
    }
    return idle;
  }

  /// The marks are forced: takes the regions out of the file, but for those written meanwhile.
  void endRetiring(BitSet retiring) {
    boolean start = false;
    synchronized (lock) {
      for (int i = retiring.nextSetBit(0); i >= 0 && !ended; i = retiring.nextSetBit(i + 1)) {
        if (!isCovered(i) && logged.get(i)) {
          leaving.set(i);
          start = !writing;
        }
      }
      writing |= start;
    }
    if (start) {
      writeAll();
    }
  }

  /// Sets what time it is, in seconds from any point.
  void time(int seconds) {
    nowSeconds = seconds;
  }

  /// How often the file was forced.
  long forces() {
    return forces.get();
  }

  int activeCount() {
    synchronized (lock) {
      return logged.cardinality();
    }
  }

  /// After this nothing is logged any more, and no write waits.
  void fail(IOException error) {
    synchronized (lock) {
      if (ended) {
        return;
      }
    }
    failed.failed(error);
    close();
  }

  /// After this nothing is logged any more. Writes that wait go on when what is under way is done.
  void close() {
    if (end()) {
      closeFile();
    }
  }

  /// Returns whether nobody else will close the file.
  private boolean end() {
    synchronized (lock) {
      boolean mine = !ended && !writing;
      ended = true;
      for (int i = 0; i < covered.length(); i++) {
        covered.set(i, -1L);
      }
      return mine;
    }
  }

  private boolean isEnded() {
    synchronized (lock) {
      return ended;
    }
  }

  private void closeFile() {
    try {
      file.close();
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "closing the activity log", e);
    }
  }
}
