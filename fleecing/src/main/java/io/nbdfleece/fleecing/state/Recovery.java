// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.regex.Pattern;

/// Finds out, when a disk's state is opened, what its files are worth.
///
/// | how the last server ended | bitmaps |
/// |---|---|
/// | in order | exact, if the disk's stamp and the checksums are those that it noted |
/// | killed, the machine ran on | exact, if the disk was not modified since |
/// | with the machine | their marks on stable storage, and all of each region that the log names |
/// | in any way, after it had given the state up | inconsistent, where they are still there |
///
/// What cannot be told makes bitmaps inconsistent.
final class Recovery {
  private static final Pattern CONTENT_NAME = Pattern.compile("[0-9a-z][0-9a-z.-]{0,63}");
  private static final String DAMAGED = BitmapList.NAME + ".damaged";

  private final String disk;
  private final StateFiles files;
  private DiskIdentity identity;
  private final Host host;
  private final List<String> findings = new ArrayList<>();
  private final Map<String, LiveFile> live = new HashMap<>();

  /// @param generation of the list found; 0 when there is none
  /// @param identity what the state is to know the disk as
  record Outcome(
      long generation,
      List<BitmapRecord> records,
      String finding,
      Map<String, LiveFile> live,
      DiskIdentity identity) {}

  Recovery(String disk, StateFiles files, DiskIdentity identity, Host host) {
    this.disk = disk;
    this.files = files;
    this.identity = identity;
    this.host = host;
  }

  /// Marks that were lost are on stable storage again at the return. The lists are unchanged, but
  /// for one that was prepared and does not count: it is gone.
  ///
  /// @param decided the generation of a prepared list that counts
  Outcome run(OptionalLong decided) throws IOException {
    byte[] file;
    try {
      file = files.read(BitmapList.NAME, BitmapList.FILE_BYTES_MAX);
    } catch (NoSuchFileException _) {
      files.delete(BitmapList.NEXT); // follows on nothing: the state was lost
      return new Outcome(0, List.of(), "", live, identity);
    }
    BitmapList list;
    try {
      list = BitmapList.decode(file);
    } catch (IOException e) {
      files.rename(BitmapList.NAME, DAMAGED);
      files.delete(BitmapList.NEXT);
      return new Outcome(
          0,
          List.of(),
          "the list of bitmaps of disk "
              + disk
              + " is unusable ("
              + e.getMessage()
              + "; kept as "
              + DAMAGED
              + "): they are gone, take a full backup",
          live,
          identity);
    }
    if (decided.isPresent() && decided.getAsLong() > list.generation()) {
      try {
        list = next(decided.getAsLong());
      } catch (IOException e) {
        findings.add(
            "a transaction of several disks has a part that is missing: " + e.getMessage());
        List<BitmapRecord> records = list.records().stream().map(Recovery::inconsistent).toList();
        return new Outcome(list.generation(), records, String.join("; ", findings), live, identity);
      }
    } else {
      files.delete(BitmapList.NEXT);
    }
    try {
      if (!list.entries().isEmpty() && identity.wasKnownAs(list.identity())) {
        identity = new IdentityKnownAs(identity, list.identity());
      }
      List<BitmapRecord> records = judge(list);
      return new Outcome(list.generation(), records, String.join("; ", findings), live, identity);
    } catch (IOException | RuntimeException e) {
      live.values().forEach(LiveFile::close);
      throw e;
    }
  }

  private BitmapList next(long generation) throws IOException {
    BitmapList next;
    try {
      next = BitmapList.decode(files.read(BitmapList.NEXT, BitmapList.FILE_BYTES_MAX));
    } catch (IOException e) {
      throw new IOException(BitmapList.NEXT + ": " + e.getMessage(), e);
    }
    if (next.generation() != generation) {
      throw new IOException(BitmapList.NEXT + " is of another one");
    }
    return next;
  }

  private List<BitmapRecord> judge(BitmapList list) throws IOException {
    String doubt = doubtOf(list);
    if (!doubt.isEmpty() && !list.entries().isEmpty()) {
      findings.add(doubt);
    }
    List<BitmapRecord> records = new ArrayList<>();
    for (BitmapList.Entry entry : list.entries()) {
      boolean usable = doubt.isEmpty() && !entry.record().inconsistent() && isUsable(list, entry);
      records.add(usable ? entry.record() : inconsistent(entry.record()));
    }
    if (doubt.isEmpty() && !list.clean() && !isSameBoot(list) && !live.isEmpty()) {
      try {
        addLoggedRegions(list);
      } catch (IOException e) {
        findings.add("after a power failure: " + e.getMessage());
        return withoutLive(records);
      }
    }
    if (!list.clean() && !live.isEmpty()) {
      try {
        // The new log knows nothing of what the old one stood for.
        for (LiveFile each : live.values()) {
          each.force();
        }
      } catch (IOException e) {
        // The system takes the pages for clean now: the next start would force nothing, and
        // believe.
        giveUp(list);
        findings.add("marks cannot be kept: " + e.getMessage());
        return withoutLive(records);
      }
    }
    return records;
  }

  /// Has no start believe the list, this one's successor or the next, if this one fails.
  private void giveUp(BitmapList list) throws IOException {
    try (StateFiles.PatchedFile log = files.patch(list.log())) {
      log.write(0, LogLayout.givenUp());
      log.force();
    }
  }

  private List<BitmapRecord> withoutLive(List<BitmapRecord> records) {
    live.values().forEach(LiveFile::close);
    live.clear();
    return records.stream()
        .map(each -> each.form() == BitmapRecord.Form.LIVE ? inconsistent(each) : each)
        .toList();
  }

  static BitmapRecord inconsistent(BitmapRecord record) {
    return new BitmapRecord(
        record.name(),
        record.granularityBytes(),
        record.content(),
        record.form(),
        record.enabled(),
        true,
        record.checkpoint(),
        record.pendingSnapshot(),
        record.created());
  }

  private boolean isSameBoot(BitmapList list) {
    return !host.bootId().isEmpty() && host.bootId().equals(list.bootId());
  }

  /// Whether the machine has run on since.
  private enum Boot {
    SAME(5_000_000_000L),

    /// It ended after the server, or with it: the heartbeat that is left is the last one forced, or
    /// written back since.
    OTHER(Heartbeat.FORCE_NANOS + 60_000_000_000L);

    /// How much later than the last heartbeat a killed server may have written to the disk.
    final long marginNanos;

    Boot(long marginNanos) {
      this.marginNanos = marginNanos;
    }
  }

  /// Why nothing of the list can be believed; empty when it can.
  private String doubtOf(BitmapList list) throws IOException {
    if (!list.disk().equals(disk)) {
      return "the state is that of disk " + list.disk();
    }
    if (list.sizeBytes() != identity.sizeBytes()) {
      return "disk "
          + disk
          + " had another size: "
          + list.sizeBytes()
          + " bytes (now: "
          + identity.sizeBytes()
          + ")";
    }
    if (!list.identity().equals(identity.identity())) {
      return "disk "
          + disk
          + " is another one: "
          + list.identity()
          + ", now "
          + identity.identity();
    }
    if (list.clean()) {
      return list.stamp().equals(identity.stamp())
          ? ""
          : "disk " + disk + " was changed while it was not served";
    }
    OptionalLong modified = identity.modifiedEpochNanos();
    if (isSameBoot(list)) {
      return doubtAfterKill(list, modified, Boot.SAME);
    }
    if (modified.isPresent()
        && host.bootedEpochNanos() > 0
        && modified.getAsLong() >= host.bootedEpochNanos()) {
      return "disk " + disk + " was changed after the machine's start, before it was served";
    }
    return doubtAfterKill(list, modified, Boot.OTHER);
  }

  /* Also when the machine has been started since: the server may have been killed, or have lost its
   * files, long before the machine ended, and somebody else may have written until then. */
  private String doubtAfterKill(BitmapList list, OptionalLong modified, Boot boot) {
    OptionalLong heartbeat;
    OptionalLong modifiedThen;
    try {
      LogLayout layout = new LogLayout(list.logNonce(), list.sizeBytes());
      byte[] log = readLog(list, layout);
      if (LogLayout.isGivenUp(log)) {
        return "the server before this one could not keep what it tracked of disk " + disk;
      }
      heartbeat = layout.heartbeatOf(log);
      modifiedThen = layout.modifiedOf(log);
    } catch (IOException e) {
      return "when disk " + disk + " was last served is not known: " + e.getMessage();
    }
    if (modified.isEmpty()) {
      return "";
    }
    if (heartbeat.isEmpty()) {
      return "when disk " + disk + " was last served is not known";
    }
    if (boot == Boot.SAME && modified.equals(modifiedThen)) {
      return ""; // by whatever clock: a guest's, or one that was set back since
    }
    // A machine that ends may lose the time of a change.
    if (boot == Boot.SAME
        && modifiedThen.isPresent()
        && modified.getAsLong() < modifiedThen.getAsLong()) {
      return "disk " + disk + " was put back from an older copy after it was last served";
    }
    return modified.getAsLong() > heartbeat.getAsLong() + boot.marginNanos
        ? "disk " + disk + " was changed after the server that tracked it was killed"
        : "";
  }

  private byte[] readLog(BitmapList list, LogLayout layout) throws IOException {
    return files.read(list.log(), layout.fileBytes());
  }

  private boolean isUsable(BitmapList list, BitmapList.Entry entry) {
    BitmapRecord record = entry.record();
    try {
      if (!CONTENT_NAME.matcher(record.content()).matches()) {
        throw new IOException("no file");
      }
      switch (record.form()) {
        case LIVE -> openLive(list, entry);
        case SEALED -> loadSealed(files, identity, record);
      }
      return true;
    } catch (NoSuchFileException e) {
      findings.add("bitmap " + record.name() + ": " + record.content() + " is missing");
      return false;
    } catch (IOException e) {
      findings.add("bitmap " + record.name() + ": " + e.getMessage());
      return false;
    } catch (InternalError e) { // of mapped memory
      findings.add("bitmap " + record.name() + ": " + record.content() + " cannot be read");
      return false;
    }
  }

  private void openLive(BitmapList list, BitmapList.Entry entry) throws IOException {
    BitmapRecord record = entry.record();
    LiveFile file =
        LiveFile.open(
            files,
            record.content(),
            ContentHeader.hash(list.identity()),
            list.sizeBytes(),
            record.granularityBytes());
    if (list.clean() && file.bits().checksum() != entry.checksum()) {
      file.close();
      throw new IOException(record.content() + " is damaged: wrong checksum");
    }
    live.put(record.content(), file);
  }

  static GranuleSet loadSealed(StateFiles files, DiskIdentity identity, BitmapRecord record)
      throws IOException {
    return SealedSet.decode(
        files.read(record.content(), SealedSet.FILE_BYTES_MAX),
        record.content(),
        ContentHeader.hash(identity.identity()),
        identity.sizeBytes(),
        record.granularityBytes());
  }

  private void addLoggedRegions(BitmapList list) throws IOException {
    LogLayout layout = new LogLayout(list.logNonce(), list.sizeBytes());
    BitSet regions = layout.regions(readLog(list, layout));
    if (regions.isEmpty()) {
      return;
    }
    int shift = layout.regionShift();
    for (int i = regions.nextSetBit(0); i >= 0; ) {
      int end = regions.nextClearBit(i);
      long start = (long) i << shift;
      long length = Math.min(list.sizeBytes(), (long) end << shift) - start;
      live.values().forEach(each -> each.bits().mark(start, length));
      i = regions.nextSetBit(end);
    }
    findings.add(
        "after a power failure: "
            + regions.cardinality()
            + " regions of "
            + (1L << shift >> 20)
            + " MiB of disk "
            + disk
            + " that were being written are marked as a whole");
  }
}
