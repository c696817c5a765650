// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;

/// An element of a disk's chain: a filter, or the backend at its end.
///
/// **Threads.** Any thread may call any method. No method waits: it completes inside the call when
/// it can, else later on another thread. Requests that overlap in time and range are the caller's
/// problem, as with a real disk.
///
/// **Arguments.** The range lies inside the node and is not empty; whoever lets requests in from
/// outside checks that once.
///
/// **Buffers** are direct and belong to the node from the call until the completion.
public interface BlockNode extends AutoCloseable {

  /// Size in bytes, of any value; constant.
  long sizeBytes();

  /// Fills `target` from position to limit with the bytes at `offsetBytes`.
  void read(long offsetBytes, ByteBuffer target, Completion done);

  /// The one door through which content changes.
  void apply(Mutation mutation, Completion done);

  /// Makes durable all that was completed before this call.
  void flush(Completion done);

  /// Where data, zeroes and holes are, from `offsetBytes` on. The answer may cover less than asked.
  ///
  /// @param extentsMax no more extents than this are wanted, at least 1
  void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done);

  @Override
  void close() throws IOException;
}
