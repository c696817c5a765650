// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.nbdfleece.fleecing.TransactionAction.Range;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Live;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Lost;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Still;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap.Checkpoint;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.roaringbitmap.RoaringBitmap;

/// Each command on a bitmap in each state, and each error text.
final class BitmapTableTest {
  private static final long SIZE = 1 << 20;
  private static final int GRANULE = 64 << 10;

  private static final String BUSY =
      "Bitmap 'x' is currently in use by another operation and cannot be used";
  private static final String LOST = "Bitmap 'x' is inconsistent and cannot be used";
  private static final String NONE = "Dirty bitmap 'x' not found";
  private static final String NO_CHECKPOINT =
      "disk vda has no checkpoint called x (checkpoints: c0, c9)";
  private static final String PENDING =
      "checkpoint x of disk vda waits for its backup: release snapshot s first,"
          + " with --success if the backup succeeded";

  /// What bitmap `x` is like. In all of them granule 2 is dirty, where that is known.
  private enum State {
    ENABLED,
    DISABLED,
    /// Enabled, and somebody uses it.
    IN_USE,
    INCONSISTENT,
    /// Of a checkpoint that others follow.
    STRETCH,
    /// Of the last checkpoint.
    LAST_STRETCH,
    /// Of a checkpoint that waits for its snapshot, and records.
    PENDING_STRETCH,
    LOST_STRETCH,
    /// Of the last checkpoint, which records into memory that has failed.
    FAILED_STRETCH,
    MISSING
  }

  private interface Command {
    DiskBitmaps on(DiskBitmaps bitmaps, BitmapWork work) throws IOException;
  }

  private static final Map<String, Command> COMMANDS =
      Map.of(
          "add",
          (b, w) -> b.add(new DiskBitmaps.NewBitmap("x", OptionalInt.empty(), false, false), w),
          "remove",
          (b, w) -> b.remove("x", w),
          "clear",
          (b, w) -> b.clear("x", w),
          "enable",
          (b, w) -> b.enable("x", w),
          "disable",
          (b, w) -> b.disable("x", w),
          "merge into",
          (b, w) -> b.merge("x", List.of(set(4)), w),
          "merge from",
          (b, w) -> {
            GranuleSet source = b.mergeSource("x", SIZE, w);
            return b.merge("other", List.of(source), w);
          },
          "mark",
          (b, w) -> b.mark("x", List.of(new Range(4L * GRANULE, 1)), w),
          "delete checkpoint",
          (b, w) -> CheckpointChain.delete(b, "x", w),
          "since",
          (b, w) -> {
            GranuleSet since = CheckpointChain.since(b, "x", w);
            assertTrue(since.granules().contains(2));
            return b;
          });

  /// What comes of it, in the order of the states: the error, or what is dirty then, recording (!)
  /// or not; `-` when there is no bitmap `x` any more.
  private static final Map<String, List<String>> EXPECTED =
      Map.of(
          "add",
          List.of(
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "Bitmap already exists: x",
              "[]!"),
          "remove",
          List.of("-", "-", BUSY, "-", BUSY, BUSY, BUSY, BUSY, BUSY, NONE),
          "clear",
          List.of("[]!", "[]", BUSY, LOST, BUSY, BUSY, BUSY, BUSY, BUSY, NONE),
          "enable",
          List.of("[2]!", "[2]!", BUSY, LOST, BUSY, BUSY, BUSY, BUSY, BUSY, NONE),
          "disable",
          List.of("[2]", "[2]", BUSY, LOST, BUSY, BUSY, BUSY, BUSY, BUSY, NONE),
          "merge into",
          List.of("[2, 4]!", "[2, 4]", BUSY, LOST, BUSY, BUSY, BUSY, BUSY, BUSY, NONE),
          "merge from",
          List.of("[2]!", "[2]", BUSY, LOST, BUSY, BUSY, BUSY, BUSY, BUSY, NONE),
          "mark",
          List.of(
              "[2, 4]!", "[2, 4]", "[2, 4]!", LOST, "[2, 4]", "[2, 4]!", "[2, 4]!", LOST, LOST,
              NONE),
          "delete checkpoint",
          List.of(
              NO_CHECKPOINT,
              NO_CHECKPOINT,
              NO_CHECKPOINT,
              NO_CHECKPOINT,
              "-",
              "-",
              PENDING,
              "-",
              "-",
              NO_CHECKPOINT),
          "since",
          List.of(
              "[2]!",
              "[2]",
              "[2]!",
              LOST + unknown(),
              "[2]",
              "[2]!",
              PENDING,
              LOST + unknown(),
              LOST + unknown(),
              "disk vda has no checkpoint or bitmap called x (it has: c0, other, c9);"
                  + " take a full backup first"));

  private static String unknown() {
    return ": what was written to disk vda since x is not known; take a full backup";
  }

  private static GranuleSet set(int... granules) {
    return GranuleSet.of(SIZE, GRANULE, RoaringBitmap.bitmapOf(granules));
  }

  private static final class Work implements BitmapWork {
    private final boolean inUse;

    Work(boolean inUse) {
      this.inUse = inUse;
    }

    @Override
    public Live fresh(int granularityBytes, boolean persistent) {
      return new Live(
          new HeapBitArray(SIZE, granularityBytes),
          persistent ? Optional.of("new") : Optional.empty());
    }

    @Override
    public GranuleSet read(TrackedBitmap bitmap) throws IOException {
      return switch (bitmap.content()) {
        case Live live when bitmap.inconsistent() ->
            throw BitmapException.inconsistent(bitmap.name());
        case Live live -> live.bits().toSet();
        case Still still -> still.set();
        case BitmapContent.Sealed sealed -> throw new IOException(sealed.file() + " is torn");
        case Lost _ -> throw BitmapException.inconsistent(bitmap.name());
      };
    }

    @Override
    public boolean inUse(String name) {
      return inUse && name.equals("x");
    }

    @Override
    public Optional<String> cannotPersist() {
      return Optional.of("there is no state directory: serve with --state DIR");
    }
  }

  private static TrackedBitmap bitmap(
      String name, BitmapContent content, boolean persistent, Optional<Checkpoint> checkpoint) {
    return new TrackedBitmap(name, GRANULE, content, persistent, checkpoint, Instant.EPOCH);
  }

  private static Live live(int... granules) {
    HeapBitArray bits = new HeapBitArray(SIZE, GRANULE);
    bits.markAll(set(granules));
    return new Live(bits, Optional.of("file"));
  }

  private static Live failed() {
    FailingBits bits = new FailingBits(SIZE, GRANULE);
    bits.failed();
    return new Live(bits, Optional.of("file"));
  }

  /// A chain c0, x?, c9? and a bitmap `other`.
  private static DiskBitmaps disk(State state, boolean persistent) {
    Optional<Checkpoint> stands = Optional.of(new Checkpoint(Optional.empty()));
    Optional<Checkpoint> waits = Optional.of(new Checkpoint(Optional.of("s")));
    Still still = new Still(set(2));
    Lost lost = new Lost("file", true);
    List<TrackedBitmap> all = new ArrayList<>();
    all.add(bitmap("c0", new Still(set(0)), persistent, stands));
    all.add(bitmap("other", new Still(set()), persistent, Optional.empty()));
    boolean last = false;
    switch (state) {
      case ENABLED, IN_USE -> all.add(bitmap("x", live(2), persistent, Optional.empty()));
      case DISABLED -> all.add(bitmap("x", still, persistent, Optional.empty()));
      case INCONSISTENT -> all.add(bitmap("x", lost, persistent, Optional.empty()));
      case STRETCH -> all.add(bitmap("x", still, persistent, stands));
      case LAST_STRETCH -> last = all.add(bitmap("x", live(2), persistent, stands));
      case PENDING_STRETCH -> last = all.add(bitmap("x", live(2), persistent, waits));
      case LOST_STRETCH -> all.add(bitmap("x", lost, persistent, stands));
      case FAILED_STRETCH -> last = all.add(bitmap("x", failed(), persistent, stands));
      case MISSING -> {}
    }
    if (!last) {
      all.add(bitmap("c9", live(), persistent, stands));
    }
    return DiskBitmaps.of("vda", SIZE, all);
  }

  private static String outcome(DiskBitmaps after, Work work) throws IOException {
    Optional<TrackedBitmap> x = after.find("x");
    if (x.isEmpty()) {
      return "-";
    }
    List<Integer> dirty = new ArrayList<>();
    work.read(x.get()).granules().forEach((int granule) -> dirty.add(granule));
    return dirty + (x.get().recording() ? "!" : "");
  }

  @TestFactory
  List<DynamicTest> eachCommandInEachState() {
    List<DynamicTest> tests = new ArrayList<>();
    EXPECTED.forEach(
        (command, byState) -> {
          List<State> states = List.of(State.values());
          for (int i = 0; i < states.size(); i++) {
            State state = states.get(i);
            String expected = byState.get(i);
            for (boolean persistent : List.of(true, false)) {
              String name = command + " × " + state + (persistent ? " × persistent" : "");
              tests.add(dynamicTest(name, () -> check(command, state, persistent, expected)));
            }
          }
        });
    return tests;
  }

  private static void check(String command, State state, boolean persistent, String expected)
      throws IOException {
    DiskBitmaps before = disk(state, persistent);
    Work work = new Work(state == State.IN_USE);
    List<TrackedBitmap> all = before.all();
    List<BitmapInfo> infos = before.infos(work::inUse);
    String outcome;
    try {
      outcome =
          outcome(Optional.ofNullable(COMMANDS.get(command)).orElseThrow().on(before, work), work);
    } catch (BitmapException e) {
      outcome = "" + e.getMessage();
    }
    assertEquals(expected.replace("c0, c9", names(before)), outcome);
    assertEquals(all, before.all(), "a configuration is a value");
    assertEquals(infos, before.infos(work::inUse), "and so are its arrays");
  }

  private static String names(DiskBitmaps bitmaps) {
    return String.join(", ", bitmaps.checkpoints().stream().map(TrackedBitmap::name).toList());
  }

  private static String errorOf(Command command) {
    BitmapException error =
        assertThrows(
            BitmapException.class, () -> command.on(disk(State.ENABLED, false), new Work(false)));
    return "" + error.getMessage();
  }

  private static Command adding(String name, int granularityBytes, boolean persistent) {
    return (b, w) ->
        b.add(
            new DiskBitmaps.NewBitmap(name, OptionalInt.of(granularityBytes), persistent, false),
            w);
  }

  @Test
  void namesAndGranularitiesThatCannotBe() {
    assertEquals("Bitmap name cannot be empty", errorOf(adding("", GRANULE, false)));
    String longest = "n".repeat(1023);
    assertEquals("Bitmap name too long: n" + longest, errorOf(adding("n" + longest, 512, false)));
    for (int granularity : new int[] {0, 1, 256, 511, 513, 65_535, -512, Integer.MIN_VALUE}) {
      assertEquals(
          "Granularity must be power of 2 and at least 512",
          errorOf(adding("y", granularity, false)));
    }
    assertEquals("Bitmap name contains a control character", errorOf(adding("a\nb", 512, false)));
    assertEquals("Bitmap name contains half a character", errorOf(adding("a\ud800", 512, false)));
    // In QEMU's order: the granularity, then whether it can be stored, then the name.
    assertEquals(
        "Granularity must be power of 2 and at least 512", errorOf(adding("x", 513, true)));
    assertEquals(
        "Can't store persistent bitmaps to vda: Operation not supported",
        errorOf(adding("x", 512, true)));
  }

  @Test
  void mergeOfAnotherSizeIsRefused() {
    DiskBitmaps twice =
        DiskBitmaps.of(
            "vdb",
            2 * SIZE,
            List.of(
                bitmap(
                    "y", new Still(GranuleSet.empty(2 * SIZE, GRANULE)), false, Optional.empty())));
    BitmapException error =
        assertThrows(BitmapException.class, () -> twice.mergeSource("y", SIZE, new Work(false)));
    assertEquals(
        "Bitmaps are of different sizes (destination size is 1048576, source size is 2097152)"
            + " and can't be merged",
        "" + error.getMessage());
  }

  @Test
  void mergeTakesOtherGranularitiesOutward() throws IOException {
    GranuleSet fine = GranuleSet.of(SIZE, 512, RoaringBitmap.bitmapOf(128 * 7 - 1, 128 * 9));
    Work work = new Work(false);
    DiskBitmaps merged = disk(State.DISABLED, false).merge("x", List.of(fine), work);
    assertEquals("[2, 6, 9]", outcome(merged, work));
  }

  @Test
  void markOutsideOfTheDiskIsRefused() {
    for (Range range :
        List.of(
            new Range(-1, 1),
            new Range(0, 0),
            new Range(0, SIZE + 1),
            new Range(SIZE, 1),
            new Range(1, Long.MAX_VALUE))) {
      assertEquals(
          "range: "
              + range.lengthBytes()
              + " bytes at offset "
              + range.offsetBytes()
              + " (expected: inside of disk vda, which has 1048576 bytes)",
          errorOf((b, w) -> b.mark("x", List.of(range), w)));
    }
  }

  @Test
  void inconsistentNeighbourTakesWhatIsMergedIntoItAlong() throws IOException {
    Work work = new Work(false);
    DiskBitmaps lostGone = CheckpointChain.delete(disk(State.LOST_STRETCH, true), "x", work);
    assertTrue(lostGone.require("c0").inconsistent());
    DiskBitmaps lostStays = CheckpointChain.delete(disk(State.LOST_STRETCH, true), "c9", work);
    assertTrue(lostStays.require("x").inconsistent());
    DiskBitmaps failed = disk(State.FAILED_STRETCH, true);
    assertTrue(CheckpointChain.delete(failed, "x", work).require("c0").inconsistent());
  }

  /// As the full backup that is told to be needed wants it.
  @Test
  void checkpointCanBeStartedBehindOneThatIsInconsistent() throws IOException {
    for (State state : List.of(State.LOST_STRETCH, State.FAILED_STRETCH)) {
      Work work = new Work(false);
      DiskBitmaps started = CheckpointChain.start(disk(state, true), "next", "s", work);
      assertTrue(started.require("x").inconsistent());
      assertFalse(started.require("x").recording());
      assertEquals(set(), CheckpointChain.estimate(started, "next", work));
      assertThrows(BitmapException.class, () -> CheckpointChain.since(started, "x", work));
    }
  }

  @Test
  void whatCannotBeReadEndsWithItsSnapshotButNotByACommand() throws IOException {
    Work work = new Work(false);
    DiskBitmaps chain = disk(State.LAST_STRETCH, true);
    BitmapContent torn = new BitmapContent.Sealed("c0.set", GRANULE);
    DiskBitmaps tornBefore = chain.with(chain.require("c0").with(torn));
    DiskBitmaps tornItself = chain.with(chain.require("x").with(torn));
    for (DiskBitmaps each : List.of(tornBefore, tornItself)) {
      DiskBitmaps undone = CheckpointChain.undo(each, "x", work);
      assertTrue(undone.find("x").isEmpty());
      assertTrue(undone.require("c0").inconsistent());
      IOException error =
          assertThrows(IOException.class, () -> CheckpointChain.delete(each, "x", work));
      assertEquals("c0.set is torn", error.getMessage(), "perhaps it can be read later");
    }
  }

  @Test
  void hintsAreQemus() {
    BitmapException lost =
        assertThrows(
            BitmapException.class,
            () -> disk(State.INCONSISTENT, true).clear("x", new Work(false)));
    assertEquals(
        Optional.of("Try block-dirty-bitmap-remove to delete this bitmap from disk"), lost.hint());
    assertEquals(BitmapException.Reason.INCONSISTENT, lost.reason());
  }

  @Test
  void numberOfBitmapsIsLimited() {
    List<TrackedBitmap> many = new ArrayList<>();
    for (int i = 0; i < DiskBitmaps.COUNT_MAX; i++) {
      many.add(bitmap("b" + i, new Still(set()), false, Optional.empty()));
    }
    DiskBitmaps full = DiskBitmaps.of("vda", SIZE, many);
    BitmapException error =
        assertThrows(
            BitmapException.class, () -> adding("one more", 512, false).on(full, new Work(false)));
    assertEquals("disk vda has 4096 bitmaps and checkpoints: remove some", "" + error.getMessage());
  }
}
