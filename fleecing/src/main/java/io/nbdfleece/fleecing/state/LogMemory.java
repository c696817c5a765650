// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;

/// The file of an activity log once more, mapped: here it can be given up without a call that could
/// fail, in a directory where nothing can be written or removed any more.
///
/// **Threads.** Its owner's lock guards it.
final class LogMemory {
  private static final System.Logger LOGGER = System.getLogger(FileDiskState.class.getName());

  private final String name;
  private final StateFiles.MappedFile file;

  private LogMemory(String name, StateFiles.MappedFile file) {
    this.name = name;
    this.file = file;
  }

  /// @param opened the same file, closed when it cannot be mapped
  static LogMemory map(
      StateFiles files, String name, LogLayout layout, StateFiles.PatchedFile opened)
      throws IOException {
    try {
      return new LogMemory(name, files.map(name, layout.fileBytes()));
    } catch (IOException | RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  /// From now on a list that names the log makes its bitmaps inconsistent: after a kill in any
  /// case, after a power failure if it has been written back, or forced.
  void giveUp() {
    try {
      LogLayout.giveUp(file.memory());
    } catch (InternalError e) { // the memory of a file that was cut, or of a file system shut down
      LOGGER.log(System.Logger.Level.WARNING, "the log " + name, e);
    }
  }

  void forceQuietly() {
    try {
      file.force();
    } catch (IOException e) {
      LOGGER.log(System.Logger.Level.DEBUG, "the log " + name, e);
    }
  }

  void close() {
    file.close();
  }
}
