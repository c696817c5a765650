// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The files of one disk that hold the bits of its bitmaps: mapped ones of those that record, and
/// sealed sets. Its owner's lock guards it.
final class ContentFiles {
  /// How long memory of a file that is not named any more stays, for writes that still mark it.
  private static final long DROPPED_NANOS = 60_000_000_000L;

  private final StateFiles files;
  private final long sizeBytes;
  private final ContentHeader.IdentityHash identity;
  private final String prefix;
  private final Map<String, LiveFile> live;
  private final List<Dropped> dropped = new ArrayList<>();
  private final Runnable memoryFailed;
  private int made;

  private record Dropped(LiveFile file, long sinceNanos) {}

  /// Told of marks that may be nowhere, though a list names their file.
  @FunctionalInterface
  interface MarksLost {
    void lost(IOException because);
  }

  /// @param found what is mapped already
  /// @param run a number that no earlier run of the server had
  /// @param memoryFailed told when marks of a mapped file may be nowhere; must not wait
  ContentFiles(
      StateFiles files,
      DiskIdentity disk,
      Map<String, LiveFile> found,
      long run,
      Runnable memoryFailed)
      throws IOException {
    this.files = files;
    this.sizeBytes = disk.sizeBytes();
    this.identity = ContentHeader.hash(disk.identity());
    this.live = new HashMap<>(found);
    this.memoryFailed = memoryFailed;
    found.values().forEach(file -> file.bits().whenFailed(memoryFailed));
    this.prefix = Long.toHexString(run) + "-";
  }

  private String newName(String suffix) {
    return prefix + Integer.toHexString(made++) + suffix;
  }

  /// Makes a file of clear bits, forced.
  LiveFile create(int granularityBytes) throws IOException {
    String name = newName(".live");
    LiveFile file = LiveFile.create(files, name, identity, sizeBytes, granularityBytes);
    file.bits().whenFailed(memoryFailed);
    live.put(name, file);
    return file;
  }

  /// Writes a set to a new file, forced.
  ///
  /// @return its name
  String seal(GranuleSet set) throws IOException {
    String name = newName(".set");
    files.write(name, SealedSet.encode(name, identity, set));
    return name;
  }

  /// A mapped one.
  Optional<LiveFile> find(String name) {
    return Optional.ofNullable(live.get(name));
  }

  /// Puts all marks on stable storage, of files that are named and of those that are not yet.
  void force() throws IOException {
    for (LiveFile each : live.values()) {
      each.force();
    }
  }

  /// Puts the marks of these on stable storage.
  ///
  /// After a failure the system takes the pages for clean: forcing them again would succeed, and
  /// regions would be forgotten whose marks are nowhere. So a list that names the file must go.
  ///
  /// @param named what the list in force names
  /// @return whether any of them is not named yet
  boolean force(List<BitmapRecord> records, Set<String> named, MarksLost marksLost)
      throws IOException {
    boolean begins = false;
    for (BitmapRecord record : records) {
      if (record.form() == BitmapRecord.Form.LIVE && !record.inconsistent()) {
        boolean isNamed = named.contains(record.content());
        try {
          require(record).force();
        } catch (IOException e) {
          if (isNamed) {
            marksLost.lost(e);
          }
          throw e;
        }
        begins |= !isNamed;
      }
    }
    return begins;
  }

  /// The mapped file of a record; fails when there is none.
  LiveFile require(BitmapRecord record) throws IOException {
    LiveFile file = live.get(record.content());
    if (file == null) {
      throw new IOException("bitmap " + record.name() + " is inconsistent or was removed");
    }
    return file;
  }

  /// Drops those with other names.
  ///
  /// @param nowNanos by [Host#nanoTime], here and below
  void retain(Set<String> names, long nowNanos) {
    for (String name : List.copyOf(live.keySet())) {
      if (!names.contains(name)) {
        drop(name, nowNanos);
      }
    }
  }

  /// Its marks have no meaning any more. Does nothing when there is no such file.
  void drop(String name, long nowNanos) {
    LiveFile file = live.remove(name);
    if (file != null) {
      file.drop();
      dropped.add(new Dropped(file, nowNanos));
    }
  }

  /// Gives the memory of those back that nobody can be marking any more.
  void unmapDropped(long nowNanos) {
    dropped.removeIf(
        each -> {
          boolean old = nowNanos - each.sinceNanos() >= DROPPED_NANOS;
          if (old) {
            each.file().close();
          }
          return old;
        });
  }

  void close() {
    live.values().forEach(LiveFile::close);
    live.clear();
    dropped.forEach(each -> each.file().close());
    dropped.clear();
  }
}
