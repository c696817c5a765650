// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskBusyException;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.roaringbitmap.RoaringBitmap;

final class StateDirectoryTest {
  @TempDir Path parent;

  private Path disk(String content) throws IOException {
    return Files.writeString(parent.resolve("disk"), content);
  }

  private static DiskState open(StateDirectory directory, String name, Path disk)
      throws IOException {
    return directory.disk(
        name,
        FileDiskIdentity.of(disk),
        Runnable::run,
        reason -> {
          throw new AssertionError(reason);
        });
  }

  private static BitmapRecord live(String name, DiskState.LiveContent content) {
    return new BitmapRecord(
        name,
        512,
        content.content(),
        Form.LIVE,
        true,
        false,
        false,
        Optional.empty(),
        Instant.EPOCH);
  }

  @Test
  void bitmapsOfAFileOutliveACleanStop() throws IOException {
    Path image = disk("x".repeat(10_000));
    BitmapRecord record;
    try (StateDirectory directory = StateDirectory.open(parent.resolve("state"))) {
      DiskState state = open(directory, "vda", image);
      DiskState.LiveContent live = state.create(512);
      live.bits().mark(1000, 600);
      live.bits().mark(9999, 1);
      record = live("b", live);
      state.commit(List.of(record));
      state.closeClean(List.of(record));
    }
    try (StateDirectory directory = StateDirectory.open(parent.resolve("state"));
        DiskState state = open(directory, "vda", image)) {
      assertEquals(List.of(record), state.found());
      assertEquals("", state.finding());
      assertEquals(
          RoaringBitmap.bitmapOf(1, 2, 3, 19), state.open(record).bits().toSet().granules());
      assertEquals(4 * 512, state.open(record).bits().dirtyBytes());
    }
  }

  @Test
  void changedFileMakesBitmapsInconsistent() throws IOException {
    Path image = disk("x".repeat(10_000));
    try (StateDirectory directory = StateDirectory.open(parent.resolve("state"))) {
      DiskState state = open(directory, "vda", image);
      state.closeClean(List.of(live("b", state.create(512))));
    }
    disk("y".repeat(10_000));
    try (StateDirectory directory = StateDirectory.open(parent.resolve("state"));
        DiskState state = open(directory, "vda", image)) {
      assertTrue(state.found().getFirst().inconsistent());
      assertEquals("disk vda was changed while it was not served", state.finding());
    }
  }

  @Test
  void secondServerIsToldWhoUsesTheDirectory() throws IOException {
    Path path = parent.resolve("state");
    try (StateDirectory first = StateDirectory.open(path)) {
      assertEquals(path, first.path());
      IOException e = assertThrows(DiskBusyException.class, () -> StateDirectory.open(path));
      assertEquals(
          "state directory "
              + path
              + " is in use by process "
              + ProcessHandle.current().pid()
              + ": stop it first, or give this server another --state",
          e.getMessage());
    }
    StateDirectory.open(path).close();
  }

  @Test
  void directoryIsForItsOwnerOnly() throws IOException {
    Path path = parent.resolve("state");
    StateDirectory.open(path).close();
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
  }

  @Test
  void missingParentIsNamed() {
    Path path = parent.resolve("no/state");
    IOException e = assertThrows(IOException.class, () -> StateDirectory.open(path));
    assertTrue(
        String.valueOf(e.getMessage()).contains("make its parent directory first"), e.getMessage());
  }

  @Test
  void fileInPlaceOfTheDirectoryIsNamed() throws IOException {
    Path path = disk("");
    IOException e = assertThrows(IOException.class, () -> StateDirectory.open(path));
    assertTrue(String.valueOf(e.getMessage()).contains("is not a directory"), e.getMessage());
  }

  @Test
  void foldersOfDisksNeverLeaveTheDirectoryAndNeverMeet() {
    Set<String> folders = new HashSet<>();
    List<String> names =
        List.of(
            "vda",
            "VDA",
            "..",
            ".",
            "",
            "a/b",
            "a%2Fb",
            "lock",
            "%",
            "-x",
            "ä",
            "\0",
            " ",
            "x".repeat(300),
            "x".repeat(301));
    for (String each : names) {
      String folder = FolderName.of(each);
      assertTrue(folders.add(folder), folder);
      assertTrue(folder.matches("[%A-Za-z0-9_][%A-Za-z0-9_.-]{0,199}"), folder);
      assertNotEquals("lock", folder);
    }
    assertEquals("vda-1.x", FolderName.of("vda-1.x"));
    assertEquals("a%2Fb", FolderName.of("a/b"));
  }
}
