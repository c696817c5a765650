// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.fleecing.TransactionAction.Range;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Live;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Lost;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Sealed;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Still;
import io.nbdfleece.fleecing.bitmap.BitmapException.Reason;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Predicate;
import org.roaringbitmap.RoaringBitmap;

/// The bitmaps and checkpoints of one disk at one moment: a value. Each command yields another one,
/// or an error, and leaves this one, and every array in it, as it was; so whatever comes of the new
/// configuration, the old one can be returned to. The order is the order of creation, and of the
/// checkpoints the order of their chain.
///
/// An exact answer needs a drained disk; in a rehearsal, with writes in flight, what is read may
/// lack some bits, but never has more than a later reading.
public final class DiskBitmaps {
  /// When nothing else is asked for, and of checkpoints.
  public static final int GRANULARITY_DEFAULT_BYTES = 64 << 10;

  private static final int GRANULARITY_MIN_BYTES = 512;
  private static final int NAME_BYTES_MAX = 1023;

  /// Bitmaps and checkpoints of a disk together.
  static final int COUNT_MAX = 4096;

  private static final long GRANULES_MAX = (1L << 32) - 1;

  private final String disk;
  private final long sizeBytes;
  private final Map<String, TrackedBitmap> byName;

  private DiskBitmaps(String disk, long sizeBytes, Map<String, TrackedBitmap> byName) {
    this.disk = disk;
    this.sizeBytes = sizeBytes;
    this.byName = byName;
  }

  /// @param disk its name, for messages
  public static DiskBitmaps of(String disk, long sizeBytes, List<TrackedBitmap> bitmaps) {
    Map<String, TrackedBitmap> byName = new LinkedHashMap<>();
    bitmaps.forEach(bitmap -> byName.put(bitmap.name(), bitmap));
    return new DiskBitmaps(disk, sizeBytes, byName);
  }

  public String disk() {
    return disk;
  }

  /// Size of the disk in bytes.
  public long sizeBytes() {
    return sizeBytes;
  }

  public List<TrackedBitmap> all() {
    return List.copyOf(byName.values());
  }

  public Optional<TrackedBitmap> find(String name) {
    return Optional.ofNullable(byName.get(name));
  }

  /// Oldest first.
  public List<TrackedBitmap> checkpoints() {
    return byName.values().stream().filter(b -> b.checkpoint().isPresent()).toList();
  }

  /// The arrays that a write marks.
  public List<BitArray> arrays() {
    List<BitArray> arrays = new ArrayList<>();
    for (TrackedBitmap bitmap : byName.values()) {
      if (bitmap.content() instanceof Live live) {
        arrays.add(live.bits());
      }
    }
    return arrays;
  }

  /// Whether a write marks a persistent bitmap.
  public boolean recordsPersistently() {
    return byName.values().stream().anyMatch(b -> b.persistent() && b.recording());
  }

  /// Those that are kept over a restart.
  public List<TrackedBitmap> persistent() {
    return byName.values().stream().filter(TrackedBitmap::persistent).toList();
  }

  /// The one of that name, or QEMU's error.
  public TrackedBitmap require(String name) throws BitmapException {
    TrackedBitmap bitmap = byName.get(name);
    if (bitmap == null) {
      throw BitmapErrors.notFound(name);
    }
    return bitmap;
  }

  /// Adds a bitmap, or replaces the one of its name in its place.
  public DiskBitmaps with(TrackedBitmap bitmap) {
    Map<String, TrackedBitmap> next = new LinkedHashMap<>(byName);
    next.put(bitmap.name(), bitmap);
    return new DiskBitmaps(disk, sizeBytes, next);
  }

  DiskBitmaps without(String name) {
    Map<String, TrackedBitmap> next = new LinkedHashMap<>(byName);
    next.remove(name);
    return new DiskBitmaps(disk, sizeBytes, next);
  }

  /// The same bitmaps, and nobody knows what is in any of them.
  public DiskBitmaps lost() {
    return of(
        disk,
        sizeBytes,
        byName.values().stream().map(bitmap -> bitmap.with(lost(bitmap.content()))).toList());
  }

  static Lost lost(BitmapContent content) {
    return switch (content) {
      case Live live -> new Lost(live.file().orElse(""), true);
      case Still _ -> new Lost("", false);
      case Sealed sealed -> new Lost(sealed.file(), false);
      case Lost lost -> lost;
    };
  }

  /// Adds a bitmap: empty, or, if it records, with what was written since a freeze that leaves
  /// bitmaps free.
  public DiskBitmaps add(NewBitmap wanted, BitmapWork work) throws IOException {
    if (wanted.name().isEmpty()) {
      throw BitmapErrors.nameEmpty();
    }
    int granularityBytes = wanted.granularityBytes().orElse(GRANULARITY_DEFAULT_BYTES);
    if (granularityBytes < GRANULARITY_MIN_BYTES || Integer.bitCount(granularityBytes) != 1) {
      throw BitmapErrors.granularity();
    }
    if (wanted.persistent()) {
      Optional<String> cannot = work.cannotPersist();
      if (cannot.isPresent()) {
        throw BitmapErrors.cannotStore(disk, cannot.get());
      }
    }
    if (byName.containsKey(wanted.name())) {
      throw BitmapErrors.exists(wanted.name());
    }
    requireName(wanted.name());
    requireRoom(granularityBytes);
    BitmapContent content =
        wanted.disabled()
            ? new Still(GranuleSet.empty(sizeBytes, granularityBytes))
            : beginning(granularityBytes, wanted.persistent(), work);
    return with(
        new TrackedBitmap(
            wanted.name(),
            granularityBytes,
            content,
            wanted.persistent(),
            Optional.empty(),
            work.now()));
  }

  /// An array that begins to record.
  private static Live beginning(int granularityBytes, boolean persistent, BitmapWork work)
      throws IOException {
    Live live = work.fresh(granularityBytes, persistent);
    Optional<GranuleSet> since = work.sinceFreeze();
    if (since.isPresent()) {
      live.bits().markAll(since.get().withGranularity(granularityBytes));
    }
    return live;
  }

  /// A bitmap to add.
  public record NewBitmap(
      String name, OptionalInt granularityBytes, boolean persistent, boolean disabled) {}

  static void requireName(String name) throws BitmapException {
    if (name.isEmpty()) {
      throw BitmapErrors.nameEmpty();
    }
    if (name.getBytes(StandardCharsets.UTF_8).length > NAME_BYTES_MAX) {
      throw BitmapErrors.nameTooLong(name);
    }
    if (name.chars().anyMatch(Character::isISOControl)) {
      throw new BitmapException(Reason.INVALID, "Bitmap name contains a control character");
    }
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(name)) {
      throw new BitmapException(Reason.INVALID, "Bitmap name contains half a character");
    }
  }

  void requireRoom(int granularityBytes) throws BitmapException {
    if (byName.size() >= COUNT_MAX) {
      throw new BitmapException(
          Reason.INVALID,
          "disk " + disk + " has " + COUNT_MAX + " bitmaps and checkpoints: remove some");
    }
    if (sizeBytes / granularityBytes >= GRANULES_MAX) {
      throw new BitmapException(
          Reason.INVALID,
          "Granularity "
              + granularityBytes
              + " is too fine for the "
              + sizeBytes
              + " bytes of disk "
              + disk
              + ": at most 4294967295 granules");
    }
  }

  private void requireIdle(TrackedBitmap bitmap, BitmapWork work) throws BitmapException {
    if (bitmap.checkpoint().isPresent() || work.inUse(bitmap.name())) {
      throw BitmapErrors.busy(bitmap);
    }
  }

  private TrackedBitmap requireUsable(String name, BitmapWork work) throws BitmapException {
    TrackedBitmap bitmap = require(name);
    requireIdle(bitmap, work);
    if (bitmap.inconsistent()) {
      throw BitmapErrors.inconsistent(name);
    }
    return bitmap;
  }

  public DiskBitmaps remove(String name, BitmapWork work) throws BitmapException {
    requireIdle(require(name), work);
    return without(name);
  }

  /// Empties a bitmap. One that records keeps what was written since a freeze that leaves bitmaps
  /// free: the backup that is made of that snapshot does not have it.
  public DiskBitmaps clear(String name, BitmapWork work) throws IOException {
    TrackedBitmap bitmap = requireUsable(name, work);
    return with(
        bitmap.with(
            bitmap.recording()
                ? beginning(bitmap.granularityBytes(), bitmap.persistent(), work)
                : new Still(empty(bitmap))));
  }

  /// Has a bitmap record. It holds what was written since a freeze that leaves bitmaps free, too.
  public DiskBitmaps enable(String name, BitmapWork work) throws IOException {
    TrackedBitmap bitmap = requireUsable(name, work);
    if (bitmap.recording()) {
      return this;
    }
    GranuleSet held = work.read(bitmap);
    return with(record(bitmap, work.sinceFreeze().map(held::union).orElse(held), work));
  }

  public DiskBitmaps disable(String name, BitmapWork work) throws IOException {
    TrackedBitmap bitmap = requireUsable(name, work);
    return bitmap.recording() ? with(bitmap.with(new Still(work.read(bitmap)))) : this;
  }

  /// What [#merge] may take from this bitmap.
  ///
  /// @param targetBytes size of the disk that it is for
  public GranuleSet mergeSource(String name, long targetBytes, BitmapWork work) throws IOException {
    TrackedBitmap source = requireUsable(name, work);
    if (sizeBytes != targetBytes) {
      throw BitmapErrors.sizes(targetBytes, sizeBytes);
    }
    return work.read(source);
  }

  /// Adds what is dirty in any of the sources, of whatever granularity.
  public DiskBitmaps merge(String target, List<GranuleSet> sources, BitmapWork work)
      throws IOException {
    TrackedBitmap bitmap = requireUsable(target, work);
    GranuleSet merged = work.read(bitmap);
    for (GranuleSet source : sources) {
      merged = merged.union(source);
    }
    return with(bitmap.with(withContent(bitmap, merged, work)));
  }

  /// Marks ranges: changes that were made elsewhere. This is safe in a bitmap that is in use, and
  /// in a checkpoint's stretch, as a guest's write is.
  public DiskBitmaps mark(String name, List<Range> ranges, BitmapWork work) throws IOException {
    TrackedBitmap bitmap = require(name);
    if (bitmap.inconsistent()) {
      throw BitmapErrors.inconsistent(name);
    }
    RoaringBitmap marked = new RoaringBitmap();
    for (Range range : ranges) {
      requireInside(range);
      long unit = bitmap.granularityBytes();
      long last = (range.offsetBytes() + range.lengthBytes() - 1) / unit;
      marked.add(range.offsetBytes() / unit, last + 1);
    }
    GranuleSet all =
        work.read(bitmap).union(GranuleSet.of(sizeBytes, bitmap.granularityBytes(), marked));
    return with(bitmap.with(withContent(bitmap, all, work)));
  }

  private void requireInside(Range range) throws BitmapException {
    if (range.offsetBytes() < 0
        || range.lengthBytes() < 1
        || range.lengthBytes() > sizeBytes - range.offsetBytes()) {
      throw new BitmapException(
          Reason.INVALID,
          "range: "
              + range.lengthBytes()
              + " bytes at offset "
              + range.offsetBytes()
              + " (expected: inside of disk "
              + disk
              + ", which has "
              + sizeBytes
              + " bytes)");
    }
  }

  private GranuleSet empty(TrackedBitmap bitmap) {
    return GranuleSet.empty(sizeBytes, bitmap.granularityBytes());
  }

  /// That set, recording if the bitmap records.
  private static BitmapContent withContent(TrackedBitmap bitmap, GranuleSet set, BitmapWork work)
      throws IOException {
    return bitmap.recording() ? record(bitmap, set, work).content() : new Still(set);
  }

  /* In a new array, although the old one could be added to: there would be no way back from that,
   * and a file of clear bits that a list names at once is the only one that a power failure cannot
   * take bits from. */
  static TrackedBitmap record(TrackedBitmap bitmap, GranuleSet set, BitmapWork work)
      throws IOException {
    Live live = work.fresh(bitmap.granularityBytes(), bitmap.persistent());
    live.bits().markAll(set);
    return bitmap.with(live);
  }

  /// As front ends show them.
  ///
  /// @param inUse whether somebody uses the bitmap of that name
  public List<BitmapInfo> infos(Predicate<String> inUse) {
    return byName.values().stream()
        .map(
            b ->
                new BitmapInfo(
                    b.name(),
                    b.granularityBytes(),
                    dirtyBytes(b),
                    b.recording(),
                    b.checkpoint().isPresent() || inUse.test(b.name()),
                    b.persistent(),
                    b.inconsistent(),
                    b.checkpoint().isPresent()))
        .toList();
  }

  static long dirtyBytes(TrackedBitmap bitmap) {
    return switch (bitmap.content()) {
      case Live live -> live.bits().dirtyBytes();
      case Still still -> still.set().dirtyBytes();
      case Sealed sealed -> sealed.dirtyBytes();
      case Lost _ -> 0;
    };
  }
}
