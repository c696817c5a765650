// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/// The file of the disk tier: bytes at offsets, nothing more. The store never writes, reads or
/// punches overlapping ranges at the same time, except that several reads may overlap.
///
/// **Threads.** Any thread may call. An operation may end inside the call, on any thread, or later;
/// its buffers belong to it until then, and their positions move.
public interface SlotFile extends AutoCloseable {

  /// Called, on any thread that may wait, before the first write; may be called again.
  default void prepare() throws IOException {}

  /// Writes what remains of these buffers, all of them direct, one after the other; all or an
  /// error.
  void write(long offsetBytes, List<ByteBuffer> data, Completion done);

  /// Fills `target`, a direct buffer, all or an error.
  void read(long offsetBytes, ByteBuffer target, Completion done);

  /// Gives the space of a range back to the system; its content is undefined afterwards. A failure
  /// costs space only.
  void punch(long offsetBytes, long lengthBytes, Completion done);

  /// Ends the use of the file and frees all its space.
  @Override
  void close() throws IOException;
}
