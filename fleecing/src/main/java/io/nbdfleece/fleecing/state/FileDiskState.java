// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
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

  /// How long memory of a file that is not named any more stays, for writes that still mark it.
  private static final long DROPPED_NANOS = 60_000_000_000L;

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
  private final String logName;
  private final ActivityLog log;
  private final String identityText;
  private final long openedEpochNanos;
  private final ReentrantLock control = new ReentrantLock();

  @GuardedBy("control")
  private final Map<String, LiveFile> live;

  @GuardedBy("control")
  private final List<Dropped> dropped = new ArrayList<>();

  /// What the list in force names.
  @GuardedBy("control")
  private Set<String> named;

  @GuardedBy("control")
  private long generation;

  @GuardedBy("control")
  private int contents;

  @GuardedBy("control")
  private int retiredSeconds;

  @GuardedBy("control")
  private boolean closed;

  /// Why bitmaps are not kept any more; empty while they are.
  private volatile String lostReason = "";

  private record Dropped(LiveFile file, long epochNanos) {}

  private FileDiskState(
      String disk,
      StateFiles files,
      DiskIdentity identity,
      Executor workers,
      Host host,
      Consumer<String> lost)
      throws IOException {
    this.disk = disk;
    this.files = files;
    this.identity = identity;
    this.host = host;
    this.workers = workers;
    this.lost = lost;
    Recovery.Outcome outcome = new Recovery(disk, files, identity, host).run();
    this.found = List.copyOf(outcome.records());
    this.finding = outcome.finding();
    this.live = new HashMap<>(outcome.live());
    this.identityText = identity.identity();
    this.named = contentsOf(found);
    this.openedEpochNanos = host.epochNanos();
    // The first one begins with the time, so that no number comes twice when a list was lost.
    this.generation = outcome.generation() == 0 ? openedEpochNanos : outcome.generation();
    this.logGeneration = generation + 1;
    LogLayout layout = new LogLayout(logGeneration, identity.sizeBytes());
    this.logName = "activity-" + Long.toHexString(logGeneration);
    files.write(logName, layout.empty(openedEpochNanos));
    this.log = new ActivityLog(layout, files.patch(logName), workers, this::lose);
  }

  /// Opens, recovers, and notes that the disk is being served.
  static FileDiskState open(
      String disk,
      StateFiles files,
      DiskIdentity identity,
      Executor workers,
      Host host,
      Consumer<String> lost)
      throws IOException {
    FileDiskState state = new FileDiskState(disk, files, identity, workers, host, lost);
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
      deleteUnnamed();
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
          LiveFile.create(
              files,
              name,
              ContentHeader.hash(identityText),
              identity.sizeBytes(),
              granularityBytes);
      live.put(name, file);
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
      LiveFile file = live.get(record.content());
      if (file == null) {
        throw new IOException(
            "bitmap " + record.name() + " of disk " + disk + " is inconsistent or was removed");
      }
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
      files.write(name, SealedSet.encode(name, ContentHeader.hash(identityText), set));
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
      prepare(records);
      replaceList(entries(records), false, "");
      adopt(records);
    } finally {
      control.unlock();
    }
  }

  /// S1 and S2, but for names.
  @GuardedBy("control")
  private void prepare(List<BitmapRecord> records) throws IOException {
    boolean begins = false;
    for (BitmapRecord record : records) {
      LiveFile file = live.get(record.content());
      if (record.form() == BitmapRecord.Form.LIVE && !record.inconsistent()) {
        if (file == null) {
          throw new IOException("no file for bitmap " + record.name() + ": " + record.content());
        }
        file.force();
        begins |= !named.contains(record.content());
      }
    }
    if (begins) {
      identity.sync();
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
    byte[] list =
        new BitmapList(
                disk,
                generation + 1,
                host.bootId(),
                clean,
                identityText,
                identity.sizeBytes(),
                stamp,
                clean ? "" : logName,
                logGeneration,
                entries)
            .encode();
    files.write(temporary, list);
    files.forceNames(); // of the contents
    files.rename(temporary, BitmapList.NAME);
    generation++;
    try {
      files.forceNames();
    } catch (IOException e) {
      // Which list is in force after a power failure is not known, so there must be none.
      log.fail(e);
      throw e;
    }
    if (!lostReason.isEmpty()) {
      removeList(); // the log failed meanwhile, and removed the list before
      checkUsable();
    }
  }

  @GuardedBy("control")
  private void adopt(List<BitmapRecord> records) throws IOException {
    named = contentsOf(records);
    for (Iterator<LiveFile> each = live.values().iterator(); each.hasNext(); ) {
      LiveFile file = each.next();
      if (!named.contains(file.name())) {
        each.remove();
        drop(file);
      }
    }
    deleteUnnamed();
  }

  @GuardedBy("control")
  private void drop(LiveFile file) {
    file.drop();
    dropped.add(new Dropped(file, host.epochNanos()));
  }

  /// Best effort: the next opening deletes what is left.
  @GuardedBy("control")
  private void deleteUnnamed() {
    try {
      for (String name : files.names()) {
        boolean content = name.endsWith(".live") || name.endsWith(".set");
        boolean oldLog = name.startsWith("activity-") && !name.equals(logName);
        if (oldLog || (content && !named.contains(name))) {
          files.delete(name);
        }
      }
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "deleting what is not used any more", e);
    }
  }

  @Override
  public void discard(List<String> contents) {
    control.lock();
    try {
      for (String name : contents) {
        if (!named.contains(name)) {
          LiveFile file = live.remove(name);
          if (file != null) {
            drop(file);
          }
          deleteQuietly(name);
        }
      }
    } finally {
      control.unlock();
    }
  }

  private void deleteQuietly(String name) {
    try {
      files.delete(name);
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "deleting what is not used any more", e);
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
      unmapDropped(now);
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
      for (LiveFile each : live.values()) { // all that writes may mark, listed yet or not
        each.force();
      }
      log.endRetiring(idle);
    }
  }

  @GuardedBy("control")
  private void unmapDropped(long now) {
    dropped.removeIf(
        each -> {
          boolean old = now - each.epochNanos() >= DROPPED_NANOS;
          if (old) {
            each.file().close();
          }
          return old;
        });
  }

  @Override
  public void closeClean(List<BitmapRecord> records) throws IOException {
    control.lock();
    try {
      if (closed || !lostReason.isEmpty()) {
        close();
        return; // said already
      }
      prepare(records);
      identity.sync(); // also the time that the stamp may be
      String stamp = identity.stamp();
      List<BitmapList.Entry> entries = new ArrayList<>();
      for (BitmapRecord record : records) {
        LiveFile file = live.get(record.content());
        entries.add(new BitmapList.Entry(record, file == null ? 0 : file.bits().checksum()));
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
      live.values().forEach(LiveFile::close);
      live.clear();
      dropped.forEach(each -> each.file().close());
      dropped.clear();
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
  private void lose(IOException error) {
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
      removeList();
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

  private void removeList() {
    try {
      files.delete(BitmapList.NAME);
      files.forceNames();
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.WARNING, "removing the list of bitmaps of disk " + disk, e);
    }
  }
}
