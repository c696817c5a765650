// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// A disk's state in files of a folder.
///
/// **Threads.** `control` orders the methods, which do file I/O under it. [#beat] and [#marks]
/// never take it, but for a log that fails, which has to remove the list before anything else.
final class FileDiskState implements DiskState {
  /*
   * S1 Before a list is replaced, everything that the new one names is on stable storage: content,
   *    names, and the marks that are set in it by then. Marks set later are covered by the log.
   * S2 A list that names a new recording bitmap is written only after the disk itself is synced.
   *    Else a power failure could undo a write from before that bitmap's beginning, which then no
   *    bitmap would show as different from what was copied.
   * S3 The log that goes with a list has its generation at the opening as nonce: what one run of
   *    the server logged is never taken for another's.
   */
  private static final System.Logger LOGGER = System.getLogger(FileDiskState.class.getName());

  private final String disk;
  private final StateFiles files;
  private final DiskIdentity identity;
  private final Host host;
  private final Executor workers;
  private final Consumer<String> lost;
  private final List<BitmapRecord> found;
  private final String finding;
  private final ActivityLog log;
  private final LogMemory logMemory;
  private final Heartbeat heartbeat;
  private final Upkeep upkeep;
  private final ReentrantLock control = new ReentrantLock();

  @GuardedBy("control")
  private final DiskFolder folder;

  @GuardedBy("control")
  private final ContentFiles contents;

  /// What the list in force names.
  @GuardedBy("control")
  private Set<String> named;

  /// What the list beside the one in force says, between [#prepare] and what decides about it.
  @GuardedBy("control")
  private Optional<List<BitmapRecord>> prepared = Optional.empty();

  private volatile boolean closed;

  /// Why bitmaps are not kept any more; empty while they are.
  private volatile String lostReason = "";

  /// They are not, and their list may still be there.
  @GuardedBy("control")
  private boolean listsLeft;

  private FileDiskState(
      String disk,
      StateFiles files,
      DiskIdentity identity,
      Executor workers,
      Host host,
      Consumer<String> lost,
      OptionalLong decided)
      throws IOException {
    this.disk = disk;
    this.files = files;
    this.host = host;
    this.workers = workers;
    this.lost = lost;
    Recovery.Outcome outcome = new Recovery(disk, files, identity, host).run(decided);
    this.found = List.copyOf(outcome.records());
    this.finding = outcome.finding();
    this.named = contentsOf(found);
    this.identity = outcome.identity();
    this.folder = new DiskFolder(disk, files, this.identity, host, outcome.generation());
    this.contents =
        new ContentFiles(
            files, this.identity, outcome.live(), folder.logNonce(), this::memoryFailed);
    LogLayout layout = new LogLayout(folder.logNonce(), identity.sizeBytes());
    files.write(
        folder.logName(),
        layout.empty(identity.trackedUntilEpochNanos().orElse(host.epochNanos())));
    StateFiles.PatchedFile logFile = files.patch(folder.logName());
    this.logMemory = LogMemory.map(files, folder.logName(), layout, logFile);
    this.log = new ActivityLog(layout, logFile, workers, this::logFailed);
    this.heartbeat = new Heartbeat(logFile);
    heartbeat.diskModified(identity.modifiedEpochNanos());
    this.upkeep = new Upkeep(host, log, heartbeat, contents, identity.trackedUntilEpochNanos());
  }

  /// Opens, recovers, and notes that the disk is being served. At the return a list that was
  /// prepared has been taken over or is gone.
  ///
  /// @param decided generation that [JointCommit] names for the disk
  static FileDiskState open(
      String disk,
      StateFiles files,
      DiskIdentity identity,
      Executor workers,
      Host host,
      Consumer<String> lost,
      OptionalLong decided)
      throws IOException {
    FileDiskState state = new FileDiskState(disk, files, identity, workers, host, lost, decided);
    try {
      state.begin();
      return state;
    } catch (IOException | RuntimeException e) {
      state.close();
      throw e;
    }
  }

  private void begin() throws IOException {
    control.lock();
    try {
      folder.replace(found, log::fail);
      checkStillKept();
      folder.deleteQuietly(BitmapList.NEXT); // only now: it may be what was found
      folder.deleteUnnamed(named);
      upkeep.needHeartbeats(!named.isEmpty());
    } finally {
      control.unlock();
    }
  }

  @Override
  public List<BitmapRecord> found() {
    return found;
  }

  @Override
  public String finding() {
    return finding;
  }

  @Override
  public ActivityLog marks() {
    return log;
  }

  @Override
  public LiveContent create(int granularityBytes) throws IOException {
    control.lock();
    try {
      checkUsable();
      LiveFile file = contents.create(granularityBytes);
      return new LiveContent(file.name(), file.bits());
    } finally {
      control.unlock();
    }
  }

  @Override
  public LiveContent open(BitmapRecord record) throws IOException {
    control.lock();
    try {
      checkUsable();
      return new LiveContent(record.content(), contents.require(record).bits());
    } finally {
      control.unlock();
    }
  }

  @Override
  public String seal(GranuleSet set) throws IOException {
    control.lock();
    try {
      checkUsable();
      return contents.seal(set);
    } finally {
      control.unlock();
    }
  }

  @Override
  public GranuleSet load(BitmapRecord record) throws IOException {
    return Recovery.loadSealed(files, identity, record);
  }

  @Override
  public void commit(List<BitmapRecord> records) throws IOException {
    control.lock();
    try {
      checkUsable();
      forceContents(records);
      folder.replace(records, log::fail);
      checkStillKept();
      adopt(records);
    } finally {
      control.unlock();
    }
  }

  String disk() {
    return disk;
  }

  /// First half of a commit of several disks: writes the next list beside the one in force, forced.
  /// [#takeOver] or [#abandon] is to follow.
  ///
  /// @return its generation; the list counts if [JointCommit] names it, whatever happens to the
  ///   process
  long prepare(List<BitmapRecord> records) throws IOException {
    control.lock();
    try {
      checkUsable();
      forceContents(records);
      long generation = folder.prepare(records);
      prepared = Optional.of(List.copyOf(records));
      return generation;
    } finally {
      control.unlock();
    }
  }

  /// Second half: puts the prepared list in force. That it is, is decided already: a failure, which
  /// is thrown, loses the state.
  void takeOver() throws IOException {
    control.lock();
    try {
      List<BitmapRecord> records = prepared.orElseThrow();
      prepared = Optional.empty();
      checkUsable();
      try {
        folder.putInForce(BitmapList.NEXT, log::fail);
      } catch (IOException e) {
        log.fail(e);
        throw e;
      }
      checkStillKept();
      adopt(records);
    } finally {
      control.unlock();
    }
  }

  /// Second half, when it was decided that nothing changes.
  void abandon() {
    control.lock();
    try {
      prepared = Optional.empty();
      folder.deleteQuietly(BitmapList.NEXT);
    } finally {
      control.unlock();
    }
  }

  /// Which list is in force after a power failure is not known, so there must be none.
  void lose(IOException because) {
    control.lock();
    try {
      prepared = Optional.empty();
      log.fail(because);
    } finally {
      control.unlock();
    }
  }

  /// S1 and S2, but for names. From its beginning on heartbeats are needed: it may last, and what
  /// follows is believed after a kill only if the server was known to run then.
  @GuardedBy("control")
  private void forceContents(List<BitmapRecord> records) throws IOException {
    noteModified(); // as long as heartbeats were not needed nobody has looked
    upkeep.needHeartbeats(true);
    if (contents.force(records, named, log::fail)) {
      identity.sync();
    }
  }

  private static Set<String> contentsOf(List<BitmapRecord> records) {
    Set<String> contents = new HashSet<>();
    records.forEach(each -> contents.add(each.content()));
    return contents;
  }

  /// The log may have failed, and removed the list, while another one was put in force.
  @GuardedBy("control")
  private void checkStillKept() throws IOException {
    if (isLost()) {
      removeLists();
      checkUsable();
    }
  }

  @GuardedBy("control")
  private void adopt(List<BitmapRecord> records) {
    named = contentsOf(records);
    heartbeat.need(!named.isEmpty());
    contents.retain(named, host.nanoTime());
    folder.deleteUnnamed(named);
  }

  @Override
  public void discard(List<String> names) {
    control.lock();
    try {
      for (String name : names) {
        if (!named.contains(name)) {
          contents.drop(name, host.nanoTime());
          folder.deleteQuietly(name);
        }
      }
    } finally {
      control.unlock();
    }
  }

  /// Notes that the server runs. To be called every second, by a thread that waits for nothing
  /// else: it takes no lock, so that no commit makes it late.
  ///
  /// @return false when it is not needed any more
  boolean beat() {
    if (isOver()) {
      return false;
    }
    try {
      upkeep.beat();
    } catch (IOException e) {
      log.fail(e);
    }
    return true;
  }

  @Override
  public void tick() {
    if (closed) {
      return;
    }
    if (heartbeat.isNeeded()) {
      noteModified();
    }
    try {
      if (!isLost()) {
        heartbeat.forceIfOld(); // without the lock: a commit may last longer than it may be old
      }
      if (control.tryLock()) {
        try {
          if (!isLost()) {
            upkeep.tidy();
          } else if (listsLeft) {
            removeLists();
          }
        } finally {
          control.unlock();
        }
      }
    } catch (IOException e) {
      log.fail(e);
    }
  }

  private void noteModified() {
    try {
      heartbeat.diskModified(identity.modifiedEpochNanos());
    } catch (IOException e) {
      // Not at its path any more: it is no older than it was, and another one there is found out.
      LOGGER.log(System.Logger.Level.DEBUG, "when disk " + disk + " was changed is not known", e);
    }
  }

  @Override
  public void closeClean(List<BitmapRecord> records) throws IOException {
    control.lock();
    try {
      if (isOver()) {
        close();
        return; // said already
      }
      forceContents(records);
      identity.sync(); // also the time that the stamp may be
      String stamp = identity.stamp();
      List<BitmapList.Entry> entries = new ArrayList<>();
      for (BitmapRecord record : records) {
        int checksum =
            contents.find(record.content()).map(file -> file.bits().checksum()).orElse(0);
        entries.add(new BitmapList.Entry(record, checksum));
      }
      folder.replaceClean(entries, stamp, log::fail);
      checkStillKept();
      adopt(records);
      close();
    } finally {
      control.unlock();
    }
  }

  @Override
  public boolean isLost() {
    return !lostReason.isEmpty();
  }

  @Override
  public void close() {
    control.lock();
    try {
      if (closed) {
        return;
      }
      if (listsLeft) {
        removeLists();
      }
      closed = true;
      log.close();
      logMemory.close();
      contents.close();
    } finally {
      control.unlock();
    }
  }

  private boolean isOver() {
    return closed || isLost();
  }

  private void checkUsable() throws IOException {
    if (closed) {
      throw new IOException("the state of disk " + disk + " is closed");
    }
    if (isLost()) {
      throw new IOException(lostReason);
    }
  }

  /// Marks may be missing. On a guest's thread: the rest is for a worker.
  private void memoryFailed() {
    IOException error = new IOException("the memory of a bitmap's file has failed");
    try {
      workers.execute(() -> log.fail(error));
    } catch (RejectedExecutionException shuttingDown) {
      log.fail(error);
    }
  }

  /// The log could not be written: what a restart finds must not be believed.
  private void logFailed(IOException error) {
    control.lock();
    try {
      if (isOver()) {
        return;
      }
      lostReason =
          "bitmaps of disk "
              + disk
              + " will not outlive this process: its state cannot be written: "
              + error.getMessage();
      logMemory.giveUp(); // before any write goes on that is not logged
      removeLists();
    } finally {
      control.unlock();
    }
    // Not here: the caller may hold `control`.
    try {
      workers.execute(() -> lost.accept(lostReason));
    } catch (RejectedExecutionException e) {
      LOGGER.log(System.Logger.Level.WARNING, lostReason, e);
    }
  }

  /// So that the next start finds nothing that was not tracked to the end. While it finds a list,
  /// it sees by the log that this one was given up: after a kill in any case, after a power failure
  /// unless that could not be written either.
  @GuardedBy("control")
  private void removeLists() {
    boolean again = listsLeft;
    try {
      folder.removeLists();
      listsLeft = false;
    } catch (IOException e) {
      listsLeft = true;
      LOGGER.log(
          again ? System.Logger.Level.DEBUG : System.Logger.Level.WARNING,
          "the list of bitmaps of disk "
              + disk
              + " cannot be removed: tried again every second; until then the next start finds them"
              + " inconsistent",
          e);
      logMemory.forceQuietly();
    }
  }
}
