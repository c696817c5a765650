// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import static io.nbdfleece.cli.delta.Apply.Fit.CHECKED;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Against a byte array.
final class ApplyTest {
  private static final int SIZE_BYTES = (1 << 20) + 512;
  private static final int GRANULE_BYTES = 4096;
  private static final long SEED = 20261121;

  private final Random random = new Random(SEED);
  private final byte[] disk = new byte[SIZE_BYTES];
  private Path file = Path.of("");

  private final List<String> warnings = new ArrayList<>();

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void full() throws IOException {
    random.nextBytes(disk);
    file = Files.write(directory.resolve("full.img"), disk);
  }

  @Test
  void deltasInOrderRestoreEachPoint() throws IOException {
    List<Path> deltas = new ArrayList<>();
    for (int i = 1; i <= 5; i++) {
      deltas.add(delta("inc" + i, "vda", i));
    }
    Apply.Summary summary = new Apply(deltas, file, CHECKED).run(warnings::add);
    assertArrayEquals(disk, Files.readAllBytes(file));
    assertEquals(5, summary.deltas());
    // Done again, as after an interruption, it makes no difference.
    new Apply(deltas, file, CHECKED).run(warnings::add);
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  @Test
  void theWrongOrderIsRefused() throws IOException {
    Path first = delta("inc1", "vda", 1);
    Path second = delta("inc2", "vda", 2);
    assertRefused(ExitCode.USAGE, "give the oldest first", second, first);
    assertRefused(ExitCode.USAGE, "give the oldest first", first, first);
  }

  @Test
  void anotherDisksDeltaIsRefused() throws IOException {
    assertRefused(
        ExitCode.USAGE, "of another disk", delta("inc1", "vda", 1), delta("inc2", "vdb", 2));
  }

  @Test
  void anImageOfAnotherSizeIsRefused() throws IOException {
    Path delta = delta("inc1", "vda", 1);
    Files.write(file, new byte[4096]);
    assertRefused(ExitCode.FAILED, "the deltas are of a disk of", delta);
  }

  @Test
  void aDamagedDeltaIsFoundBeforeAnythingIsWritten() throws IOException {
    Path first = delta("inc1", "vda", 1);
    Path second = delta("inc2", "vda", 2);
    DeltaExtent data =
        DeltaMap.read(DeltaMap.pathOf(second)).extents().stream()
            .filter(extent -> !extent.isZero())
            .findFirst()
            .orElseThrow();
    byte[] content = Files.readAllBytes(second);
    content[(int) data.offsetBytes()] ^= 1;
    Files.write(second, content);
    assertRefused(ExitCode.FAILED, "inc2.delta: is not what its map says", first, second);
    Files.write(second, Arrays.copyOf(content, 4096));
    assertRefused(ExitCode.FAILED, "its size is 4096", first, second);
  }

  @Test
  void anImageInUseIsRefused() throws IOException {
    Path delta = delta("inc1", "vda", 1);
    try (LinuxFile inUse = LinuxFile.open(file, LinuxFile.Access.READ_WRITE)) {
      ImageLock.acquire(inUse, LinuxFile.Access.READ_WRITE);
      assertRefused(ExitCode.BUSY, "in use", delta);
    }
  }

  @Test
  void whatIsMissingIsNotFound() throws IOException {
    Path delta = delta("inc1", "vda", 1);
    assertRefused(ExitCode.NOT_FOUND, "none.map", directory.resolve("none"));
    Files.delete(file);
    assertEquals(ExitCode.NOT_FOUND, assertThrows(CommandFailure.class, () -> apply(delta)).code());
  }

  @Test
  void deltasInSeparateCallsMustFollowEachOther() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path inc2 = delta("inc2", "vda", 2);
    Path inc3 = delta("inc3", "vda", 3);
    noteFull(1);
    assertRefused(ExitCode.USAGE, "full.img: shows checkpoint c1 of disk vda (2026-", inc2);
    assertRefused(ExitCode.USAGE, "inc3.delta begins at checkpoint c3 of disk vda", inc3);
    apply(inc1);
    assertRefused(ExitCode.USAGE, "shows checkpoint c2 of disk vda", inc3);
    apply(inc2);
    assertRefused(ExitCode.USAGE, "ends before that, at checkpoint c2 of disk vda", inc1);
    apply(inc3);
    assertArrayEquals(disk, Files.readAllBytes(file));
    assertEquals(List.of(), warnings);
  }

  @Test
  void aGapWithinACallIsRefused() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path inc2 = delta("inc2", "vda", 2);
    Path inc3 = delta("inc3", "vda", 3);
    assertRefused(ExitCode.USAGE, "give the deltas in between too", inc1, inc3);
    apply(inc1, inc2, inc3);
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  @Test
  void aDeltaOfTheSameDiskOfAnotherServerIsRefused() throws IOException {
    Path other = delta("other", "vda", 1, Instant.parse("2026-11-21T03:01:00.000000001Z"));
    noteFull(1);
    assertRefused(
        ExitCode.USAGE, "begins at checkpoint c1 of disk vda (2026-11-21T03:01:00.000", other);
  }

  @Test
  void deltasSinceTheFullBackupMayFollowEachOther() throws IOException {
    noteFull(1);
    apply(delta("diff1", "vda", 1, at(1), at(2)));
    apply(delta("diff2", "vda", 2, at(1), at(3)));
    assertRefused(ExitCode.USAGE, "ends before that", delta("late", "vda", 3, at(1), at(2)));
    assertEquals(List.of(), warnings);
  }

  @Test
  void theSameDeltasMayBeAppliedAgain() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path inc2 = delta("inc2", "vda", 2);
    noteFull(1);
    apply(inc1, inc2);
    apply(inc2);
    apply(inc1, inc2);
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  @Test
  void whatWasBegunMustBeFinished() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path inc2 = delta("inc2", "vda", 2);
    noteFull(1);
    Path real = file.toRealPath();
    begin(point(1), point(2), point(3));
    assertRefused(ExitCode.USAGE, "apply those again that were interrupted", inc1);
    apply(inc1, inc2);
    assertArrayEquals(disk, Files.readAllBytes(file));
    assertEquals(Optional.empty(), ImagePoint.read(real).orElseThrow().unfinished());
  }

  @Test
  void doneAgainItCanBeInterruptedToo() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path inc2 = delta("inc2", "vda", 2);
    noteFull(1);
    apply(inc1, inc2);
    Path inc3 = delta("inc3", "vda", 3);
    // Parts of the image are older than c3 then: inc3 alone would not bring them up to date.
    begin(point(1), point(2), point(3));
    assertRefused(ExitCode.USAGE, "apply those again that were interrupted", inc3);
    apply(inc2);
    apply(inc3);
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  /// The image was at c3 by a delta since c1, so c2 is none of its points. Brought to c4 by way of
  /// c2, parts of it are as of c2 meanwhile, where c3 to c4 alone would leave them.
  @Test
  void interruptedOnAnotherWayItIsNotWhatItWas() throws IOException {
    noteFull(1);
    apply(delta("c1c3", "vda", 2, at(1), at(3)));
    Path c1c2 = delta("c1c2", "vda", 1, at(1), at(2));
    Path c2c4 = delta("c2c4", "vda", 3, at(2), at(4));
    Path c3c4 = delta("c3c4", "vda", 3, at(3), at(4));
    begin(point(1), point(2), point(4));
    assertRefused(ExitCode.USAGE, "apply those again that were interrupted", c3c4);
    assertRefused(ExitCode.USAGE, "apply those again that were interrupted", c2c4);
    apply(c1c2, c2c4);
    List<DeltaPoint> points = ImagePoint.read(file.toRealPath()).orElseThrow().points();
    assertEquals(List.of(at(1), at(2), at(4)), points.stream().map(DeltaPoint::instant).toList());
  }

  @Test
  void pointsOnAnotherWayStandInOrderOfTime() {
    ImagePoint image = new ImagePoint(List.of(point(1), point(3)), Optional.empty());
    assertEquals(
        List.of(point(1), point(2), point(3), point(4)),
        image.past(point(1), List.of(point(2), point(4))).points());
    // The clock was set back between 3 and 2: the next is the next all the same.
    assertEquals(
        List.of(point(1), point(3), point(2), point(4)),
        image.past(point(3), List.of(point(2), point(4))).points());
  }

  @Test
  void afterTheClockWasSetBackAnOlderDeltaIsStillOlder() throws IOException {
    Path older = delta("older", "vda", 4, at(4), at(5));
    Path newer = delta("newer", "vda", 2, at(5), at(3));
    noteFull(4);
    apply(older, newer);
    assertRefused(ExitCode.USAGE, "shows checkpoint c3 of disk vda", older);
    apply(newer);
    apply(older, newer);
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  @Test
  void aDeltaIsNoFile() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    file = delta("inc2", "vda", 2);
    assertRefused(ExitCode.USAGE, "inc2.delta: is a delta (" + DeltaMap.pathOf(file), inc1);
    file = Files.createSymbolicLink(directory.resolve("link"), file);
    assertRefused(ExitCode.USAGE, "link: is a delta (", inc1);
  }

  @Test
  void thePointThatIsMissedIsBesideTheFileItself() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path real = file.toRealPath();
    Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
    file = Files.createSymbolicLink(elsewhere.resolve("link.img"), file);
    apply(inc1);
    String missed = "there is no " + ImagePoint.pathOf(real) + " (";
    assertTrue(warnings.getFirst().startsWith(missed), warnings.getFirst());
  }

  @Test
  void aDeltaSinceBeforeTheFullBackupNeedsForce() throws IOException {
    noteFull(2);
    Path delta = delta("inc", "vda", 2, at(1), at(3));
    assertRefused(ExitCode.USAGE, "whether that is the same disk", delta);
    Apply.Summary _ = new Apply(List.of(delta), file, Apply.Fit.ASSUMED).run(warnings::add);
    apply(delta("next", "vda", 3));
    assertArrayEquals(disk, Files.readAllBytes(file));
  }

  @Test
  void anImageOfWhichNothingIsNotedIsTakenWithAWarning() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    Path inc2 = delta("inc2", "vda", 2);
    apply(inc1);
    assertEquals(1, warnings.size());
    assertTrue(warnings.getFirst().contains("full.img.point"), warnings.getFirst());
    assertRefused(ExitCode.USAGE, "begins at checkpoint c3", delta("inc3", "vda", 3));
    apply(inc2);
    assertEquals(1, warnings.size());
  }

  @Test
  void forceAppliesWhatDoesNotFollow() throws IOException {
    noteFull(1);
    Path inc2 = delta("inc2", "vda", 2);
    Apply.Summary _ = new Apply(List.of(inc2), file, Apply.Fit.ASSUMED).run(warnings::add);
    assertTrue(ImagePoint.read(file.toRealPath()).orElseThrow().now().isSame(point(3)));
    assertEquals(List.of(), warnings);
  }

  @Test
  void afterADeltaThatTellsNothingNothingIsNoted() throws IOException {
    noteFull(1);
    apply(silentDelta());
    assertEquals(1, warnings.size());
    assertTrue(warnings.getFirst().contains("does not tell where it begins"), warnings.getFirst());
    assertEquals(Optional.empty(), ImagePoint.read(file.toRealPath()));
  }

  @Test
  void aDamagedPointFileIsRefused() throws IOException {
    Path inc1 = delta("inc1", "vda", 1);
    noteFull(1);
    Path point = ImagePoint.pathOf(file);
    for (String content :
        List.of(
            "",
            "{}",
            "[",
            "{\"format\":\"nbdfleece-point\",\"version\":2}",
            "{\"format\":\"nbdfleece-point\",\"version\":1,\"points\":[]}",
            "{\"format\":\"nbdfleece-point\",\"version\":1,\"points\":[{}]}")) {
      Files.writeString(point, content);
      assertRefused(ExitCode.FAILED, "full.img.point: damaged, ", inc1);
    }
  }

  private Apply.Summary apply(Path... given) throws IOException {
    return new Apply(List.of(given), file, CHECKED).run(warnings::add);
  }

  /// Notes beside the image that it shows that checkpoint.
  private void noteFull(int checkpoint) throws IOException {
    new ImagePoint(List.of(point(checkpoint)), Optional.empty()).write(file.toRealPath());
  }

  /// As if deltas had been begun that go from a point to each of the others.
  private void begin(DeltaPoint from, DeltaPoint... reached) throws IOException {
    Path real = file.toRealPath();
    ImagePoint.read(real).orElseThrow().towards(from, List.of(reached)).write(real);
  }

  private static DeltaPoint point(int checkpoint) {
    return new DeltaPoint("vda", "checkpoint c" + checkpoint, at(checkpoint));
  }

  private static Instant at(int minute) {
    return Instant.parse("2026-11-21T03:0" + minute + ":00Z");
  }

  private void assertRefused(ExitCode code, String text, Path... deltas) throws IOException {
    byte[] before = Files.readAllBytes(file);
    CommandFailure failure = assertThrows(CommandFailure.class, () -> apply(deltas));
    assertEquals(code, failure.code(), Messages.of(failure));
    assertTrue(Messages.of(failure).contains(text), Messages.of(failure));
    assertArrayEquals(before, Files.readAllBytes(file));
  }

  /// Changes the disk at random and writes down what has changed.
  private Path delta(String name, String diskName, int minute) throws IOException {
    return delta(name, diskName, minute, at(minute));
  }

  private Path delta(String name, String diskName, int minute, Instant since) throws IOException {
    return delta(name, diskName, minute, since, at(minute + 1));
  }

  private Path delta(String name, String diskName, int minute, Instant since, Instant starts)
      throws IOException {
    return delta(
        name,
        diskName,
        minute,
        ", since c"
            + since.toString().charAt(15)
            + " ("
            + since
            + "), starts c"
            + (minute + 1)
            + " ("
            + starts
            + ")");
  }

  private Path silentDelta() throws IOException {
    return delta("silent", "vda", 1, "");
  }

  private Path delta(String name, String diskName, int minute, String span) throws IOException {
    byte[] sparse = new byte[SIZE_BYTES];
    List<DeltaExtent> extents = new ArrayList<>();
    for (int at = 0; at < SIZE_BYTES; at += GRANULE_BYTES) {
      int lengthBytes = Math.min(GRANULE_BYTES, SIZE_BYTES - at);
      int choice = random.nextInt(4);
      if (choice == 0) {
        Arrays.fill(disk, at, at + lengthBytes, (byte) 0);
        extents.add(new DeltaExtent(at, lengthBytes, OptionalInt.empty()));
      } else if (choice == 1) {
        for (int i = at; i < at + lengthBytes; i++) {
          disk[i] = (byte) random.nextInt();
        }
        System.arraycopy(disk, at, sparse, at, lengthBytes);
        CRC32C crc = new CRC32C();
        crc.update(disk, at, lengthBytes);
        extents.add(new DeltaExtent(at, lengthBytes, OptionalInt.of((int) crc.getValue())));
      }
    }
    Path delta = Files.write(directory.resolve(name + ".delta"), sparse);
    String instant = "2026-11-21T03:0" + (minute + 1) + ":00.1Z";
    new DeltaMap(
            new DeltaSource(
                SIZE_BYTES,
                "c" + minute,
                "/s",
                diskName + "@" + name,
                "snapshot " + name + " of disk " + diskName + ", frozen " + instant + span,
                Instant.parse(instant)),
            extents)
        .write(DeltaMap.pathOf(delta));
    return delta;
  }
}
