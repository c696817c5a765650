// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// The lists in the folder of a disk that is served, and what else its folder holds.
///
/// **Threads.** Its owner's lock guards it.
final class DiskFolder {
  private static final System.Logger LOGGER = System.getLogger(FileDiskState.class.getName());

  private static final String NEW = BitmapList.NAME + ".new";

  private final String disk;
  private final StateFiles files;
  private final DiskIdentity identity;
  private final String identityText;
  private final Host host;
  private final long logNonce;

  /// Of the list in force.
  private long generation;

  /// @param generation of the list in force, 0 when there is none; the log that goes with later
  ///   ones has the next number as nonce
  DiskFolder(String disk, StateFiles files, DiskIdentity identity, Host host, long generation)
      throws IOException {
    this.disk = disk;
    this.files = files;
    this.identity = identity;
    this.identityText = identity.identity();
    this.host = host;
    // The first one begins with the time, so that no number comes twice when a list was lost.
    this.generation = generation == 0 ? host.epochNanos() : generation;
    this.logNonce = this.generation + 1;
  }

  /// Of the log that goes with the lists written from now on.
  long logNonce() {
    return logNonce;
  }

  String logName() {
    return "activity-" + Long.toHexString(logNonce);
  }

  /// What is told when it is not known which list is in force after a power failure: there must be
  /// none then.
  @FunctionalInterface
  interface InDoubt {
    void inDoubt(IOException because);
  }

  /// Writes the next list beside the one in force.
  ///
  /// @return its generation
  long prepare(List<BitmapRecord> records) throws IOException {
    writeList(BitmapList.NEXT, entries(records), false, "");
    return generation + 1;
  }

  /// Puts a list in force that counts while the server runs.
  void replace(List<BitmapRecord> records, InDoubt inDoubt) throws IOException {
    writeList(NEW, entries(records), false, "");
    putInForce(NEW, inDoubt);
  }

  /// Puts a list in force that counts once the server has ended in order.
  void replaceClean(List<BitmapList.Entry> entries, String stamp, InDoubt inDoubt)
      throws IOException {
    writeList(NEW, entries, true, stamp);
    putInForce(NEW, inDoubt);
  }

  /// @param name of a list that has been written
  void putInForce(String name, InDoubt inDoubt) throws IOException {
    files.rename(name, BitmapList.NAME);
    generation++;
    try {
      files.forceNames();
    } catch (IOException e) {
      inDoubt.inDoubt(e);
      throw e;
    }
  }

  private static List<BitmapList.Entry> entries(List<BitmapRecord> records) {
    return records.stream().map(each -> new BitmapList.Entry(each, 0)).toList();
  }

  /// Forces its content and its name, and the names of all that it names.
  private void writeList(String name, List<BitmapList.Entry> entries, boolean clean, String stamp)
      throws IOException {
    BitmapList list =
        new BitmapList(
            disk,
            generation + 1,
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

  /// So that nothing stale is believed: a next list does not count without one in force, and none
  /// without its log. Each for itself, since the others may go where one does not.
  ///
  /// @throws IOException when one of them may still be there
  void removeLists() throws IOException {
    List<IOException> failures = new ArrayList<>();
    for (String name : List.of(BitmapList.NAME, BitmapList.NEXT, logName())) {
      try {
        files.delete(name);
      } catch (IOException e) {
        failures.add(e);
      }
    }
    if (!failures.isEmpty()) {
      IOException first = failures.removeFirst();
      failures.forEach(first::addSuppressed);
      throw first;
    }
    files.forceNames();
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
