// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
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
/// **Threads.** `control` orders the methods, which do file I/O under it; [#marks] never takes it,
/// but for a log that fails, which has to remove the list before anything else.
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

  /// How often regions are looked for that are not written any more. Each time costs two syncs.
  private static final int RETIRE_SECONDS = 10;

  private final String disk;
  private final StateFiles files;
  private final DiskIdentity identity;
  private final Host host;
  private final Executor workers;
  private final Consumer<String> lost;
  private final List<BitmapRecord> found;
  private final String finding;
  private final long logGeneration;
  private final ActivityLog log;
  private final DiskFolder folder;
  private final ContentHeader.IdentityHash identityHash;
  private final long openedEpochNanos;
  private final ReentrantLock control = new ReentrantLock();

  @GuardedBy("control")
  private final LiveFiles live;

  /// What the list in force names.
  @GuardedBy("control")
  private Set<String> named;

  @GuardedBy("control")
  private long generation;

  /// What the list beside the one in force says, between [#prepare] and what decides about it.
  @GuardedBy("control")
  private Optional<List<BitmapRecord>> prepared = Optional.empty();

  @GuardedBy("control")
  private int contents;

  @GuardedBy("control")
  private int retiredSeconds;

  @GuardedBy("control")
  private boolean closed;

  /// Why bitmaps are not kept any more; empty while they are.
  private volatile String lostReason = "";

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
    this.identity = identity;
    this.host = host;
    this.workers = workers;
    this.lost = lost;
    Recovery.Outcome outcome = new Recovery(disk, files, identity, host).run(decided);
    this.found = List.copyOf(outcome.records());
    this.finding = outcome.finding();
    this.live = new LiveFiles(outcome.live());
    this.identityHash = ContentHeader.hash(identity.identity());
    this.named = contentsOf(found);
    this.openedEpochNanos = host.epochNanos();
    // The first one begins with the time, so that no number comes twice when a list was lost.
    this.generation = outcome.generation() == 0 ? openedEpochNanos : outcome.generation();
    this.logGeneration = generation + 1;
    LogLayout layout = new LogLayout(logGeneration, identity.sizeBytes());
    this.folder = new DiskFolder(disk, files, identity, host, logGeneration);
    String logName = folder.logName();
    files.write(logName, layout.empty(openedEpochNanos));
    this.log = new ActivityLog(layout, files.patch(logName), workers, this::logFailed);
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
      replaceList(entries(found), false, "");
      folder.deleteQuietly(BitmapList.NEXT); // only now: it may be what was found
      folder.deleteUnnamed(named);
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
      String name = contentName(".live");
      LiveFile file =
          LiveFile.create(files, name, identityHash, identity.sizeBytes(), granularityBytes);
      live.add(file);
      return new LiveContent(name, file.bits());
    } finally {
      control.unlock();
    }
  }

  /// Never used before: the generation at the opening is new on stable storage.
  @GuardedBy("control")
  private String contentName(String suffix) {
    return Long.toHexString(logGeneration) + "-" + Integer.toHexString(contents++) + suffix;
  }

  @Override
  public LiveContent open(BitmapRecord record) throws IOException {
    control.lock();
    try {
      checkUsable();
      LiveFile file =
          live.find(record.content())
              .orElseThrow(
                  () ->
                      new IOException(
                          "bitmap "
                              + record.name()
                              + " of disk "
                              + disk
                              + " is inconsistent or was removed"));
      return new LiveContent(record.content(), file.bits());
    } finally {
      control.unlock();
    }
  }

  @Override
  public String seal(GranuleSet set) throws IOException {
    control.lock();
    try {
      checkUsable();
      String name = contentName(".set");
      files.write(name, SealedSet.encode(name, identityHash, set));
      return name;
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
      log.heartbeat(host.epochNanos());
      forceContents(records);
      replaceList(entries(records), false, "");
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
      log.heartbeat(host.epochNanos());
      forceContents(records);
      folder.writeList(BitmapList.NEXT, generation + 1, entries(records), false, "");
      prepared = Optional.of(List.copyOf(records));
      return generation + 1;
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
        putInForce(BitmapList.NEXT);
      } catch (IOException e) {
        log.fail(e);
        throw e;
      }
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

  /// S1 and S2, but for names.
  @GuardedBy("control")
  private void forceContents(List<BitmapRecord> records) throws IOException {
    boolean begins = false;
    for (BitmapRecord record : records) {
      if (record.form() == BitmapRecord.Form.LIVE && !record.inconsistent()) {
        LiveFile file =
            live.find(record.content())
                .orElseThrow(
                    () ->
                        new IOException(
                            "no file for bitmap " + record.name() + ": " + record.content()));
        boolean isNamed = named.contains(record.content());
        force(file, isNamed);
        begins |= !isNamed;
      }
    }
    if (begins) {
      identity.sync();
    }
  }

  /// After a failure the system takes the pages for clean: forcing them again would succeed, and
  /// regions would be forgotten whose marks are nowhere. So the list that names the file must go.
  private void force(LiveFile file, boolean isNamed) throws IOException {
    try {
      file.force();
    } catch (IOException e) {
      if (isNamed) {
        log.fail(e);
      }
      throw e;
    }
  }

  private static List<BitmapList.Entry> entries(List<BitmapRecord> records) {
    return records.stream().map(each -> new BitmapList.Entry(each, 0)).toList();
  }

  private static Set<String> contentsOf(List<BitmapRecord> records) {
    Set<String> contents = new HashSet<>();
    records.forEach(each -> contents.add(each.content()));
    return contents;
  }

  @GuardedBy("control")
  private void replaceList(List<BitmapList.Entry> entries, boolean clean, String stamp)
      throws IOException {
    String temporary = BitmapList.NAME + ".new";
    folder.writeList(temporary, generation + 1, entries, clean, stamp);
    putInForce(temporary);
  }

  @GuardedBy("control")
  private void putInForce(String name) throws IOException {
    files.rename(name, BitmapList.NAME);
    generation++;
    try {
      files.forceNames();
    } catch (IOException e) {
      // Which list is in force after a power failure is not known, so there must be none.
      log.fail(e);
      throw e;
    }
    if (!lostReason.isEmpty()) {
      folder.removeLists(); // the log failed meanwhile, and removed the list before
      checkUsable();
    }
  }

  @GuardedBy("control")
  private void adopt(List<BitmapRecord> records) {
    named = contentsOf(records);
    live.retain(named, host.epochNanos());
    folder.deleteUnnamed(named);
  }

  @Override
  public void discard(List<String> contents) {
    control.lock();
    try {
      for (String name : contents) {
        if (!named.contains(name)) {
          live.drop(name, host.epochNanos());
          folder.deleteQuietly(name);
        }
      }
    } finally {
      control.unlock();
    }
  }

  @Override
  public void tick() {
    control.lock();
    try {
      if (closed || !lostReason.isEmpty()) {
        return;
      }
      long now = host.epochNanos();
      int seconds = (int) ((now - openedEpochNanos) / 1_000_000_000L);
      log.time(seconds);
      if (!named.isEmpty()) {
        log.heartbeat(now);
      }
      live.unmapDropped(now);
      if (seconds - retiredSeconds >= RETIRE_SECONDS) {
        retiredSeconds = seconds;
        retire();
      }
    } catch (IOException e) {
      log.fail(e);
    } finally {
      control.unlock();
    }
  }

  @GuardedBy("control")
  private void retire() throws IOException {
    BitSet idle = log.beginRetiring();
    if (!idle.isEmpty()) {
      live.force(); // all that writes may mark, listed yet or not
      log.endRetiring(idle);
    }
  }

  @Override
  public void closeClean(List<BitmapRecord> records) throws IOException {
    control.lock();
    try {
      if (closed || !lostReason.isEmpty()) {
        close();
        return; // said already
      }
      forceContents(records);
      identity.sync(); // also the time that the stamp may be
      String stamp = identity.stamp();
      List<BitmapList.Entry> entries = new ArrayList<>();
      for (BitmapRecord record : records) {
        int checksum = live.find(record.content()).map(file -> file.bits().checksum()).orElse(0);
        entries.add(new BitmapList.Entry(record, checksum));
      }
      replaceList(entries, true, stamp);
      adopt(records);
      close();
    } finally {
      control.unlock();
    }
  }

  @Override
  public void close() {
    control.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      log.close();
      live.close();
    } finally {
      control.unlock();
    }
  }

  @GuardedBy("control")
  private void checkUsable() throws IOException {
    if (closed) {
      throw new IOException("the state of disk " + disk + " is closed");
    }
    if (!lostReason.isEmpty()) {
      throw new IOException(lostReason);
    }
  }

  /// The log could not be written: what a restart finds must not be believed.
  private void logFailed(IOException error) {
    control.lock();
    try {
      if (closed || !lostReason.isEmpty()) {
        return;
      }
      lostReason =
          "bitmaps of disk "
              + disk
              + " will not outlive this process: its state cannot be written: "
              + error.getMessage();
      folder.removeLists();
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
}
