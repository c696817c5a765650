// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.List;
import java.util.Set;

/// The lists in the folder of a disk that is served, and what else its folder holds.
///
/// **Threads.** Any thread; its owner's lock orders the lists.
final class DiskFolder {
  private static final System.Logger LOGGER = System.getLogger(FileDiskState.class.getName());

  private final String disk;
  private final StateFiles files;
  private final DiskIdentity identity;
  private final String identityText;
  private final Host host;
  private final long logNonce;

  /// @param logNonce of the log that goes with the lists
  DiskFolder(String disk, StateFiles files, DiskIdentity identity, Host host, long logNonce)
      throws IOException {
    this.disk = disk;
    this.files = files;
    this.identity = identity;
    this.identityText = identity.identity();
    this.host = host;
    this.logNonce = logNonce;
  }

  String logName() {
    return "activity-" + Long.toHexString(logNonce);
  }

  /// Forces its content and its name, and the names of all that it names.
  void writeList(
      String name, long generation, List<BitmapList.Entry> entries, boolean clean, String stamp)
      throws IOException {
    BitmapList list =
        new BitmapList(
            disk,
            generation,
            host.bootId(),
            clean,
            identityText,
            identity.sizeBytes(),
            stamp,
            clean ? "" : logName(),
            logNonce,
            entries);
    files.write(name, list.encode());
    files.forceNames();
  }

  /// So that nothing stale is believed. A next list does not count without one in force.
  void removeLists() {
    try {
      files.delete(BitmapList.NAME);
      files.delete(BitmapList.NEXT);
      files.forceNames();
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.WARNING, "removing the list of bitmaps of disk " + disk, e);
    }
  }

  /// Best effort: the next opening deletes what is left.
  void deleteUnnamed(Set<String> named) {
    try {
      for (String name : files.names()) {
        boolean content = name.endsWith(".live") || name.endsWith(".set");
        boolean oldLog = name.startsWith("activity-") && !name.equals(logName());
        if (oldLog || (content && !named.contains(name))) {
          files.delete(name);
        }
      }
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "deleting what is not used any more", e);
    }
  }

  void deleteQuietly(String name) {
    try {
      files.delete(name);
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "deleting what is not used any more", e);
    }
  }
}
