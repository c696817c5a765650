// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What is told of a file that is open when its name goes elsewhere.
final class NameWatchTest {
  @TempDir Path directory;
  private Path path = Path.of("");
  private LinuxFile file;
  private NameWatch watch;

  @BeforeEach
  void open() throws IOException {
    path = Files.writeString(directory.resolve("vda.img"), "content");
    file = LinuxFile.open(path, Access.READ_WRITE);
    watch = new NameWatch(file);
  }

  @AfterEach
  void close() throws IOException {
    file.close();
  }

  private void assertGone(NameWatch watched, Path name) throws IOException {
    String told = watched.displacement().orElseThrow();
    assertTrue(told.startsWith("its file " + name + " was deleted or replaced"), told);
    Path open = Path.of(told.substring(told.indexOf("/proc/")));
    assertEquals("content", Files.readString(open));
  }

  @Test
  void nothingIsToldOfAFileThatIsWhereItWasWhateverIsDoneToIt() throws IOException {
    assertEquals(Optional.empty(), watch.displacement());
    Files.writeString(path, "other");
    Files.createLink(directory.resolve("link"), path);
    assertEquals(Optional.empty(), watch.displacement());
  }

  @Test
  void ofOneThatWasDeletedItIsToldWhereItCanBeCopiedFrom() throws IOException {
    Files.delete(path);
    assertGone(watch, path);
  }

  @Test
  void anotherFileOfThatNameIsNotTheOne() throws IOException {
    Files.delete(path);
    Files.writeString(path, "content");
    assertGone(watch, path);
  }

  @Test
  void oneThatAnotherWasRenamedOverIsGoneToo() throws IOException {
    Path other = Files.writeString(directory.resolve("other"), "other");
    Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);
    assertGone(watch, path);
  }

  @Test
  void ofOneThatWasRenamedTheNewNameIsToldUntilItHasItsOldOneBack() throws IOException {
    Path now = directory.resolve("old.img");
    Files.move(path, now);
    Files.writeString(path, "other");
    String told = watch.displacement().orElseThrow();
    assertTrue(told.startsWith("its file " + path + " is " + now.toRealPath() + " now"), told);
    Files.move(now, path, StandardCopyOption.REPLACE_EXISTING);
    assertEquals(Optional.empty(), watch.displacement());
  }

  @Test
  void aSymbolicLinkIsFollowed() throws IOException {
    Path link = Files.createSymbolicLink(directory.resolve("link"), path);
    try (LinuxFile linked = LinuxFile.open(link, Access.READ_WRITE)) {
      NameWatch watched = new NameWatch(linked);
      assertEquals(Optional.empty(), watched.displacement());
      Files.delete(link);
      Files.createSymbolicLink(link, directory.resolve("missing"));
      String told = watched.displacement().orElseThrow();
      assertTrue(told.contains(" is " + path.toRealPath() + " now"), told);
    }
  }

  /// Names in /dev come and go.
  @Test
  void aBlockDeviceIsNotMissedByItsName() throws Exception {
    Files.write(path, new byte[4 << 20]);
    Tool losetup = Tool.run("losetup", "--find", "--show", path.toString());
    assumeTrue(losetup.exit() == 0, "no loop device here: " + losetup.output());
    Path device = Path.of(losetup.output().strip());
    Path link = Files.createSymbolicLink(directory.resolve("vda"), device);
    try (LinuxFile block = LinuxFile.open(link, Access.READ_ONLY)) {
      Files.delete(link);
      assertEquals(Optional.empty(), new NameWatch(block).displacement());
    } finally {
      assertEquals(0, Tool.run("losetup", "-d", device.toString()).exit());
    }
  }

  @Test
  void ofAFileThatIsClosedNothingCanBeTold() throws IOException {
    file.close();
    assertThrows(IOException.class, () -> watch.displacement());
  }
}
