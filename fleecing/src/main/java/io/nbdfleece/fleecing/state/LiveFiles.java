// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The mapped files of one disk. Its owner's lock guards it.
final class LiveFiles {
  /// How long memory of a file that is not named any more stays, for writes that still mark it.
  private static final long DROPPED_NANOS = 60_000_000_000L;

  private final Map<String, LiveFile> files;
  private final List<Dropped> dropped = new ArrayList<>();

  private record Dropped(LiveFile file, long epochNanos) {}

  LiveFiles(Map<String, LiveFile> found) {
    this.files = new HashMap<>(found);
  }

  void add(LiveFile file) {
    files.put(file.name(), file);
  }

  Optional<LiveFile> find(String name) {
    return Optional.ofNullable(files.get(name));
  }

  /// Puts all their marks on stable storage.
  void force() throws IOException {
    for (LiveFile each : files.values()) {
      each.force();
    }
  }

  /// Drops those with other names.
  void retain(Set<String> names, long epochNanos) {
    for (String name : List.copyOf(files.keySet())) {
      if (!names.contains(name)) {
        drop(name, epochNanos);
      }
    }
  }

  /// Its marks have no meaning any more. Does nothing when there is no such file.
  void drop(String name, long epochNanos) {
    LiveFile file = files.remove(name);
    if (file != null) {
      file.drop();
      dropped.add(new Dropped(file, epochNanos));
    }
  }

  /// Gives the memory of those back that nobody can be marking any more.
  void unmapDropped(long epochNanos) {
    dropped.removeIf(
        each -> {
          boolean old = epochNanos - each.epochNanos() >= DROPPED_NANOS;
          if (old) {
            each.file().close();
          }
          return old;
        });
  }

  void close() {
    files.values().forEach(LiveFile::close);
    files.clear();
    dropped.forEach(each -> each.file().close());
    dropped.clear();
  }
}
