// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.locks.ReentrantLock;

/// Replaces the lists of several disks: all of them or none, whenever the process or the machine
/// ends.
///
/// ```
///   each disk: bitmaps.next written, forced ─▶ the record written, forced ─▶ each: bitmaps.next
///                                              └ from here on it is done       becomes bitmaps
/// ```
///
/// The record, a file of the state directory, names the disks and the generations of their next
/// lists. A disk that is opened takes its next list over exactly if the record names it with a
/// generation later than that of its list in force; else the next list is deleted. What the record
/// names of a disk that is not opened stays there until it is, over any number of starts and
/// further transactions; when nothing is left the record is deleted. An outdated record does no
/// harm, so that is not forced.
///
/// ```
///   0  "NBFJOIN1"   8  version   12  payload length   16  payload   end - 4  CRC32C of all before
/// ```
///
/// Big-endian; the payload is a count, and a folder ([DataOutputStream#writeUTF]) and a generation
/// for each.
///
/// **Threads.** Any thread. The lock makes two commits follow one another; it is held over file I/O
/// and taken before those of the disks.
final class JointCommit {
  static final String NAME = "transaction";

  /// Of a disk of which it is not known whether its next list counts.
  static final long IN_DOUBT = Long.MAX_VALUE;

  private static final System.Logger LOGGER = System.getLogger(JointCommit.class.getName());
  private static final long MAGIC = 0x4E42_464A_4F49_4E31L;
  private static final int VERSION = 1;
  private static final int HEAD_BYTES = 16;
  private static final int FILE_BYTES_MAX = 16 << 20;

  private final StateFiles files;
  private final ReentrantLock lock = new ReentrantLock();

  /// What the record says, by folder.
  @GuardedBy("lock")
  private final SortedMap<String, Long> decided;

  private JointCommit(StateFiles files, SortedMap<String, Long> decided) {
    this.files = files;
    this.decided = decided;
  }

  /// The folders of disks that have a next list.
  interface Prepared {
    List<String> folders() throws IOException;
  }

  /// Reads what a server left that did not come to the end of a commit.
  ///
  /// @param files of the state directory itself
  static JointCommit open(StateFiles files, Prepared prepared) throws IOException {
    byte[] file;
    try {
      file = files.read(NAME, FILE_BYTES_MAX);
    } catch (NoSuchFileException _) {
      return new JointCommit(files, new TreeMap<>());
    }
    try {
      return new JointCommit(files, decode(file));
    } catch (IOException e) {
      SortedMap<String, Long> doubtful = new TreeMap<>();
      prepared.folders().forEach(folder -> doubtful.put(folder, IN_DOUBT));
      LOGGER.log(
          System.Logger.Level.WARNING,
          "the state directory''s file {0} is unusable ({1});"
              + " disks whose bitmaps depend on it: {2}",
          NAME,
          e.getMessage(),
          doubtful.keySet());
      JointCommit commit = new JointCommit(files, new TreeMap<>());
      commit.lock.lock();
      try {
        commit.replace(doubtful);
      } finally {
        commit.lock.unlock();
      }
      return commit;
    }
  }

  /// What a disk that is opened has to take over.
  OptionalLong decided(String folder) {
    lock.lock();
    try {
      Long generation = decided.get(folder);
      return generation == null ? OptionalLong.empty() : OptionalLong.of(generation);
    } finally {
      lock.unlock();
    }
  }

  /// The list in force of this disk is as late as the record says.
  void settled(String folder) {
    settled(List.of(folder));
  }

  /// Commits. After a failure, which is thrown, the old lists are in force; but when it cannot be
  /// told whether the record is on stable storage, all these disks lose their state.
  void commit(Map<FileDiskState, List<BitmapRecord>> lists) throws IOException {
    lock.lock();
    try {
      decide(lists);
      List<String> settled = new ArrayList<>();
      for (FileDiskState state : lists.keySet()) {
        try {
          state.takeOver();
          settled.add(FolderName.of(state.disk()));
        } catch (IOException e) {
          // The transaction stands; that this disk's state is lost has been said.
          LOGGER.log(System.Logger.Level.DEBUG, "list of disk " + state.disk(), e);
        }
      }
      settled(settled);
    } finally {
      lock.unlock();
    }
  }

  @GuardedBy("lock")
  private void decide(Map<FileDiskState, List<BitmapRecord>> lists) throws IOException {
    List<FileDiskState> prepared = new ArrayList<>();
    SortedMap<String, Long> next = new TreeMap<>(decided);
    try {
      for (Map.Entry<FileDiskState, List<BitmapRecord>> each : lists.entrySet()) {
        FileDiskState state = each.getKey();
        prepared.add(state);
        next.put(FolderName.of(state.disk()), state.prepare(each.getValue()));
      }
      replace(next);
    } catch (IOException | RuntimeException e) {
      prepared.forEach(FileDiskState::abandon);
      throw e;
    }
    try {
      files.forceNames();
    } catch (IOException e) {
      prepared.forEach(state -> state.lose(e));
      throw e;
    }
  }

  /// After a failure the old one is there.
  @GuardedBy("lock")
  private void replace(SortedMap<String, Long> next) throws IOException {
    if (next.isEmpty()) {
      files.delete(NAME);
    } else {
      String temporary = NAME + ".new";
      files.write(temporary, encode(next));
      files.rename(temporary, NAME);
    }
    decided.clear();
    decided.putAll(next);
  }

  private void settled(List<String> folders) {
    lock.lock();
    try {
      SortedMap<String, Long> next = new TreeMap<>(decided);
      next.keySet().removeAll(folders);
      if (next.size() < decided.size()) {
        replace(next);
      }
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "the next commit tries again", e);
    } finally {
      lock.unlock();
    }
  }

  private static byte[] encode(SortedMap<String, Long> generations) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeLong(MAGIC);
    out.writeInt(VERSION);
    out.writeInt(0); // the payload's length follows
    out.writeInt(generations.size());
    for (Map.Entry<String, Long> each : generations.entrySet()) {
      out.writeUTF(each.getKey());
      out.writeLong(each.getValue());
    }
    int length = bytes.size() - HEAD_BYTES;
    out.writeInt(0);
    byte[] file = bytes.toByteArray();
    if (file.length > FILE_BYTES_MAX) {
      throw new IOException(
          "disks in transactions that are not settled: "
              + generations.size()
              + " (limit: a file of 16 MiB)");
    }
    ByteBuffer.wrap(file)
        .putInt(12, length)
        .putInt(file.length - 4, ContentHeader.checksum(file, 0, file.length - 4));
    return file;
  }

  private static SortedMap<String, Long> decode(byte[] file) throws IOException {
    ByteBuffer head = ByteBuffer.wrap(file);
    if (file.length < HEAD_BYTES + 4
        || head.getLong(0) != MAGIC
        || head.getInt(12) != file.length - HEAD_BYTES - 4
        || head.getInt(file.length - 4) != ContentHeader.checksum(file, 0, file.length - 4)) {
      throw new IOException("torn or damaged");
    }
    if (head.getInt(8) != VERSION) {
      throw new IOException(
          "version: " + head.getInt(8) + " (expected: 1; written by another release)");
    }
    DataInputStream in =
        new DataInputStream(
            new ByteArrayInputStream(file, HEAD_BYTES, file.length - HEAD_BYTES - 4));
    SortedMap<String, Long> generations = new TreeMap<>();
    int count = in.readInt();
    for (int i = 0; i < count; i++) {
      generations.put(in.readUTF(), in.readLong());
    }
    if (in.available() != 0) {
      throw new IOException("longer than its content");
    }
    return generations;
  }
}
