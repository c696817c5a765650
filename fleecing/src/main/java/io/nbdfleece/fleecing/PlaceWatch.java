// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.FileNode;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.Optional;

/// Tells of disks whose file is not where it was any more, once each time. The disk is whole, and
/// guests go on.
///
/// **Threads.** One at a time for each disk.
final class PlaceWatch {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final EventHub events;

  PlaceWatch(EventHub events) {
    this.events = events;
  }

  /// Waits for the disk's file system.
  void look(ServedDisk disk) {
    Optional<FileNode> file = disk.file();
    if (file.isEmpty()) {
      return;
    }
    Optional<String> now;
    try {
      now = file.get().displacement();
    } catch (IOException e) {
      // A directory that cannot be looked into now, or the disk has just been closed.
      LOG.log(Level.DEBUG, "where the file of disk " + disk.config().name() + " is", e);
      return;
    }
    Optional<String> before = disk.displacement();
    if (now.equals(before)) {
      return;
    }
    disk.displaced(now);
    if (now.isPresent()) {
      events.diskDisplaced(disk.config().name(), now.get());
    } else {
      LOG.log(
          Level.INFO,
          "disk {0}: {1} is its file again",
          disk.config().name(),
          disk.config().location());
    }
  }
}
