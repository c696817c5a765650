// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/// The checker finds what was planted, and nothing else.
final class PointInTimeCheckerTest {
  private final List<WriteRecord> writes = new ArrayList<>();

  @Test
  void viewOfWritesBeforeTheCommandIsRight() {
    stamps(1, 0, 0, 2, 10, 20);
    stamps(2, 0, 2, 1, 15, 25);
    assertEquals(List.of(), check(30, 40, view(0, 1, 1, 2, 0)));
  }

  @Test
  void writeInFlightDuringTheCommandMayBeInOrOut() {
    stamps(1, 0, 0, 1, 10, 20);
    stamps(2, 0, 0, 1, 30, 60);
    assertEquals(List.of(), check(40, 50, view(0, 1)));
    assertEquals(List.of(), check(40, 50, view(0, 2)));
  }

  @Test
  void tornBlockIsFound() {
    ByteBuffer disk = ByteBuffer.allocate(2 * Stamp.BLOCK_BYTES);
    Stamp.write(disk, 0, 1, 0, 0);
    Stamp.write(disk, Stamp.BLOCK_BYTES, 2, 0, 0);
    ByteBuffer torn = ByteBuffer.allocate(Stamp.BLOCK_BYTES);
    torn.put(0, disk, 0, 512).put(512, disk, Stamp.BLOCK_BYTES + 512, 3584);
    assertEquals(1, Stamp.read(disk, 0, 0, 0));
    assertEquals(2, Stamp.read(disk, Stamp.BLOCK_BYTES, 0, 0));
    assertEquals(Stamp.TORN, Stamp.read(torn, 0, 0, 0));
    assertBlamed("torn", 30, 40, view(0, Stamp.TORN));
  }

  @Test
  void blockOfAnotherPlaceIsFound() {
    ByteBuffer disk = ByteBuffer.allocate(Stamp.BLOCK_BYTES);
    Stamp.write(disk, 0, 1, 0, 7);
    assertEquals(Stamp.FOREIGN, Stamp.read(disk, 0, 0, 8));
    assertEquals(Stamp.FOREIGN, Stamp.read(disk, 0, 1, 7));
    assertBlamed("elsewhere", 30, 40, view(0, Stamp.FOREIGN));
  }

  @Test
  void blockThatNobodyWroteIsFound() {
    stamps(1, 0, 0, 1, 10, 20);
    assertBlamed("nobody", 30, 40, view(0, 2));
  }

  @Test
  void lostWriteIsFound() {
    stamps(1, 0, 0, 1, 10, 20);
    stamps(2, 0, 0, 1, 21, 29);
    assertBlamed("outside", 30, 40, view(0, 1));
  }

  @Test
  void writeOfAfterTheCommandIsFound() {
    stamps(1, 0, 0, 1, 10, 20);
    stamps(2, 0, 0, 1, 41, 45);
    assertBlamed("outside", 30, 40, view(0, 2));
  }

  @Test
  void laterWriteWithoutTheEarlierOneIsFound() {
    stamps(1, 0, 0, 1, 31, 33);
    stamps(2, 0, 1, 1, 35, 37);
    assertEquals(List.of(), check(30, 40, view(0, 1, 0)));
    assertBlamed("no common instant", 30, 40, view(0, 0, 2));
  }

  @Test
  void halfAWriteIsFound() {
    stamps(1, 0, 0, 4, 32, 38);
    assertEquals(List.of(), check(30, 40, view(0, 1, 1, 1, 1)));
    assertEquals(List.of(), check(30, 40, view(0, 0, 0, 0, 0)));
    assertBlamed("half a write", 30, 40, view(0, 1, 1, 0, 0));
  }

  @Test
  void wholeWriteThatIsPartlyOverwrittenIsRight() {
    stamps(1, 0, 0, 4, 10, 20);
    stamps(2, 0, 1, 1, 25, 35);
    assertEquals(List.of(), check(30, 40, view(0, 1, 2, 1, 1)));
  }

  @Test
  void halfAZeroingIsFound() {
    stamps(1, 0, 0, 2, 10, 20);
    zeroes(2, 0, 0, 2, 32, 38);
    assertEquals(List.of(), check(30, 40, view(0, 0, 0)));
    assertBlamed("half a write", 30, 40, view(0, 1, 0));
  }

  @Test
  void zeroesMayBeOfAnyTimeTheBlockHadThem() {
    zeroes(1, 0, 0, 1, 10, 20);
    stamps(2, 0, 0, 1, 21, 25);
    zeroes(3, 0, 0, 1, 26, 29);
    assertEquals(List.of(), check(30, 40, view(0, 0)));
    stamps(4, 0, 0, 1, 45, 50);
    assertEquals(List.of(), check(30, 40, view(0, 0)));
    assertEquals(List.of(), check(30, 40, view(0, 0, 0)));
  }

  @Test
  void zeroesFromBeforeAWriteThatIsInAreFound() {
    stamps(1, 0, 0, 1, 31, 32);
    stamps(2, 0, 1, 1, 33, 34);
    zeroes(3, 0, 0, 1, 36, 38);
    stamps(4, 0, 1, 1, 34, 35);
    assertBlamed("no common instant", 30, 35, view(0, 0, 2));
  }

  @Test
  void writesThatOverlapInTimeMayHaveAnyOrder() {
    stamps(1, 0, 0, 2, 10, 20);
    stamps(2, 0, 0, 2, 15, 18);
    assertEquals(List.of(), check(30, 40, view(0, 1, 2)));
    assertEquals(List.of(), check(30, 40, view(0, 2, 1)));
  }

  @Test
  void writeNeverAcknowledgedMayBeInOrOut() {
    stamps(1, 0, 0, 1, 10, Long.MAX_VALUE);
    assertEquals(List.of(), check(30, 40, view(0, 0)));
    assertEquals(List.of(), check(30, 40, view(0, 1)));
  }

  @Test
  void twoDisksOfDifferentInstantsAreFound() {
    stamps(1, 0, 0, 1, 31, 33);
    stamps(2, 1, 0, 1, 35, 37);
    assertEquals(List.of(), check(30, 40, view(0, 1), view(1, 0)));
    assertEquals(List.of(), check(30, 40, view(0, 0)));
    assertEquals(List.of(), check(30, 40, view(1, 2)));
    assertBlamed("no common instant", 30, 40, view(0, 0), view(1, 2));
  }

  private void stamps(long number, int disk, int first, int count, long sent, long acked) {
    writes.add(
        new WriteRecord(number, disk, first, count, WriteRecord.Content.STAMPS, sent, acked));
  }

  private void zeroes(long number, int disk, int first, int count, long sent, long acked) {
    writes.add(
        new WriteRecord(number, disk, first, count, WriteRecord.Content.ZEROES, sent, acked));
  }

  private static View view(int disk, long... contents) {
    return new View(disk, contents);
  }

  private List<String> check(long first, long last, View... views) {
    return new PointInTimeChecker(writes).check(new Interval(first, last), List.of(views));
  }

  private void assertBlamed(String what, long first, long last, View... views) {
    List<String> violations = check(first, last, views);
    assertEquals(1, violations.size(), violations::toString);
    assertTrue(violations.getFirst().contains(what), violations::toString);
  }
}
