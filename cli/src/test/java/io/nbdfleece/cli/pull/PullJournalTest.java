// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PullJournalTest {
  private static final PullSource SOURCE =
      new PullSource("/run/\"n\".sock", "vda@näch\ntlich", 1000, "snapshot, frozen 12:00");

  @TempDir Path directory = Path.of("");
  private Path path = Path.of("");

  @BeforeEach
  void write() throws IOException {
    path = directory.resolve("x.part.map");
    DoneRanges before = new DoneRanges();
    before.add(new ByteRange(0, 10));
    try (PullJournal journal = PullJournal.create(path, SOURCE, before)) {
      journal.append(List.of(new ByteRange(10, 5), new ByteRange(500, 100)));
      journal.append(List.of(new ByteRange(900, 100)));
    }
  }

  @Test
  void whatWasWrittenIsRead() throws IOException {
    PullJournal.Content content = PullJournal.read(path);
    assertEquals(Optional.of(SOURCE), content.source());
    assertEquals(
        List.of(new ByteRange(0, 15), new ByteRange(500, 100), new ByteRange(900, 100)),
        content.done().ranges());
  }

  @Test
  void cutAnywhereItSaysNoMoreThanBefore() throws IOException {
    byte[] whole = Files.readAllBytes(path);
    long beforeBytes = 0;
    for (int length = 0; length <= whole.length; length++) {
      Files.write(path, Arrays.copyOf(whole, length));
      long doneBytes = PullJournal.read(path).done().totalBytes();
      assertTrue(doneBytes >= beforeBytes && doneBytes <= 215, "length=" + length);
      assertTrue(doneBytes == beforeBytes || whole[length - 1] == '\n', "length=" + length);
      beforeBytes = doneBytes;
    }
    assertEquals(215, beforeBytes);
  }

  @Test
  void aFlippedBitAnywhereIsNotBelieved() throws IOException {
    byte[] whole = Files.readAllBytes(path);
    for (int at = 0; at < whole.length; at++) {
      byte[] changed = whole.clone();
      changed[at] ^= 1;
      Files.write(path, changed);
      PullJournal.Content content = PullJournal.read(path);
      assertTrue(content.done().totalBytes() < 215, "at=" + at);
      assertTrue(content.source().isEmpty() || content.source().get().equals(SOURCE), "at=" + at);
    }
  }

  @Test
  void aLineOfAnotherPlaceIsNotBelieved() throws IOException {
    List<String> lines = Files.readAllLines(path);
    Files.writeString(path, lines.get(0) + "\n" + lines.get(2) + "\n");
    assertEquals(0, PullJournal.read(path).done().totalBytes());
  }

  @Test
  void noJournalSaysNothing() throws IOException {
    PullJournal.remove(path);
    assertTrue(PullJournal.read(path).source().isEmpty());
  }

  @Test
  void aNewOneReplacesTheOldOne() throws IOException {
    PullJournal.create(path, SOURCE, new DoneRanges()).close();
    assertTrue(PullJournal.read(path).done().isEmpty());
    try (var files = Files.list(directory)) {
      assertEquals(1, files.count());
    }
  }
}
