// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/// The files of one disk's folder: everything that is done to them goes through here, so that a
/// test can lose what was not forced.
///
/// A file's content and its name are forced apart: after a power failure a name that was given,
/// changed or removed since the last [#forceNames] may or may not be so.
///
/// **Threads.** Any thread. All methods do file I/O and wait.
interface StateFiles {

  List<String> names() throws IOException;

  /// The whole content of a file.
  ///
  /// @throws java.nio.file.NoSuchFileException when there is none
  /// @throws IOException also when it is longer than `bytesMax`
  byte[] read(String name, long bytesMax) throws IOException;

  /// Makes a file with this content, in place of one of that name, and forces the content.
  void write(String name, byte[] content) throws IOException;

  /// Makes a file that begins with `head` and is zero otherwise, with space allocated for all of
  /// it, forces it and maps it. The name is new.
  MappedFile createMapped(String name, long sizeBytes, byte[] head) throws IOException;

  /// Maps a file; fails when it is not exactly so long.
  MappedFile map(String name, long sizeBytes) throws IOException;

  /// Opens a file to be written in place.
  PatchedFile patch(String name) throws IOException;

  /// In place of what had the second name.
  void rename(String from, String to) throws IOException;

  /// Does nothing when there is no such file.
  void delete(String name) throws IOException;

  void forceNames() throws IOException;

  /// A file whose bytes are memory. They are shared with the system at once: the end of the process
  /// loses none.
  interface MappedFile extends AutoCloseable {

    /// Valid until closed; an access later fails with IllegalStateException.
    MemorySegment memory();

    /// What was stored before the call is on stable storage at the return.
    void force() throws IOException;

    @Override
    void close();
  }

  /// A file that is written in place, never longer than it is.
  interface PatchedFile extends AutoCloseable {

    void write(long offsetBytes, byte[] content) throws IOException;

    void force() throws IOException;

    @Override
    void close() throws IOException;
  }
}
