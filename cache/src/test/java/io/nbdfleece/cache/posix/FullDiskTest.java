// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.AsyncFileTest.filled;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Files on real file systems and devices that are full.
@Timeout(60)
class FullDiskTest {
  private static final long THIN_BYTES = 8 << 20;
  private static final int REFUSALS = 5000;

  @TempDir Path directory;

  /// Room that comes free between the two attempts at a durable write makes it durable, and no data
  /// lost of it. Needs the right to mount; says so when it is skipped.
  @Test
  void roomThatComesAndGoesSpoilsNothing() throws Exception {
    Path mounted = Files.createDirectory(directory.resolve("small"));
    Tool mount = Tool.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mounted.toString());
    assumeTrue(mount.exit() == 0, "no tmpfs here: " + mount.output());
    try (LinuxFile thin = LinuxFile.create(mounted.resolve("thin"));
        AsyncFile disk = new AsyncFile(thin, Runnable::run)) {
      thin.truncate(THIN_BYTES);
      AtomicInteger refused = new AtomicInteger();
      Thread guest = Thread.ofPlatform().start(() -> fill(disk, refused));
      while (guest.isAlive()) {
        for (long at = 0; at < THIN_BYTES; at += THIN_BYTES / 16) {
          thin.punchHole(at, THIN_BYTES / 16);
        }
      }
      assertTrue(refused.get() >= REFUSALS, "no lack of room, or an error that stays");
      Outcome sync = new Outcome();
      disk.dataSync(sync);
      sync.await();
    } finally {
      assertEquals(0, Tool.run("umount", mounted.toString()).exit());
    }
  }

  /// A device that takes less than it says, like a thin pool that is full. A durable write is told
  /// of what could not be written back, and a sync beside it must not take that for success. Needs
  /// the right to mount and to set up a loop device; says so when it is skipped.
  @Test
  void syncTellsOfLostDataThoughAWriteHasBeenTold() throws Exception {
    Path mounted = Files.createDirectory(directory.resolve("pool"));
    Tool mount = Tool.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mounted.toString());
    assumeTrue(mount.exit() == 0, "no tmpfs here: " + mount.output());
    try {
      Path image = mounted.resolve("image");
      try (LinuxFile sparse = LinuxFile.create(image)) {
        sparse.truncate(THIN_BYTES);
      }
      Tool losetup = Tool.run("losetup", "--find", "--show", image.toString());
      assumeTrue(losetup.exit() == 0, "no loop device here: " + losetup.output());
      Path device = Path.of(losetup.output().strip());
      try (LinuxFile pool = LinuxFile.open(device, Access.READ_WRITE);
          AsyncFile disk = new AsyncFile(pool, Runnable::run)) {
        Outcome cached = new Outcome();
        disk.write(0, filled((int) THIN_BYTES, 3), cached);
        cached.await();
        assertNotEquals(0, Tool.run("sync", device.toString()).exit(), "all of it found room");
        assertThrows(PosixException.class, () -> pool.writeDurable(filled(4096, 4), 0));
        for (int i = 0; i < 2; i++) {
          Outcome sync = new Outcome();
          disk.dataSync(sync);
          IOException lost = assertThrows(IOException.class, sync::await);
          assertTrue(lost.toString().contains("data may be lost"), lost.toString());
          assertFalse(lost instanceof PosixException posix && posix.isNoRoom());
        }
      } finally {
        assertEquals(0, Tool.run("losetup", "-d", device.toString()).exit());
      }
    } finally {
      assertEquals(0, Tool.run("umount", mounted.toString()).exit());
    }
  }

  /// Until enough writes have found no room, or one has failed for another reason.
  private static void fill(AsyncFile disk, AtomicInteger refused) {
    ByteBuffer data = filled(64 << 10, 3);
    for (long at = 0; refused.get() < REFUSALS; at = (at + data.capacity()) % THIN_BYTES) {
      Outcome done = new Outcome();
      disk.writeDurable(at, data.clear(), done);
      try {
        done.await();
      } catch (PosixException e) {
        if (!e.isNoRoom()) {
          return;
        }
        refused.incrementAndGet();
      } catch (IOException e) {
        return;
      }
    }
  }
}
