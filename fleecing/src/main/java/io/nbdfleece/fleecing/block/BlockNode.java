// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.FileSender;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// An element of a disk's chain: a filter, or the backend at its end.
///
/// **Threads.** Any thread may call any method. No method waits: it completes inside the call when
/// it can, else later on another thread. Requests that overlap in time and range are the caller's
/// problem, as with a real disk.
///
/// **Arguments.** The range lies inside the node and is not empty; whoever lets requests in from
/// outside checks that once. Offsets and lengths are multiples of [#blockBytes].
///
/// **Buffers** are direct and belong to the node from the call until the completion.
public interface BlockNode extends AutoCloseable {

  /// Size in bytes, of any value; constant.
  long sizeBytes();

  /// The unit of requests: a power of two from 1 to 64 KiB that divides the size; constant.
  default int blockBytes() {
    return 1;
  }

  /// What it can do beyond being read; constant.
  default Set<NodeAbility> abilities() {
    return EnumSet.of(NodeAbility.WRITE, NodeAbility.FLUSH, NodeAbility.DURABLE_WRITE);
  }

  /// Names of the metadata contexts that it knows beyond `base:allocation`; constant.
  default List<String> contexts() {
    return List.of();
  }

  /// Fills `target` from position to limit with the bytes at `offsetBytes`.
  void read(long offsetBytes, ByteBuffer target, Completion done);

  /// Fills several buffers, each from position to limit, with the bytes from `offsetBytes` on, one
  /// buffer after the other. When it fails they hold anything. It is a read for each of them unless
  /// a node knows better.
  default void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
    new ReadInParts(this, offsetBytes, targets, done).start();
  }

  /// Where the bytes of a range can be sent from, at the same offsets, instead of being read: when
  /// they lie in a file, all of them in memory, and no long zeroes among them that a reader could
  /// be spared. Does not wait. What changes before they have been received may be seen by the
  /// reader, as by a [#read] that takes as long.
  default Optional<FileSender> sender(long offsetBytes, int lengthBytes) {
    return Optional.empty();
  }

  /// The one door through which content changes.
  void apply(Mutation mutation, Completion done);

  /// Makes durable all that was completed before this call.
  void flush(Completion done);

  /// A hint that the range is going to be read. Succeeds also when it does nothing.
  default void cache(long offsetBytes, long lengthBytes, Completion done) {
    done.succeeded();
  }

  /// Who has to look for extents one by one finds so many for one answer and leaves the rest to the
  /// next question: the answers for all contexts are cut to the shortest of them.
  int EXTENTS_PER_ANSWER_MAX = 16_384;

  /// Where data, zeroes and holes are, from `offsetBytes` on. The answer may cover less than asked.
  ///
  /// @param extentsMax no more extents than this are wanted, at least 1
  void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done);

  /// What metadata contexts say from `offsetBytes` on. The answer may cover less than asked.
  ///
  /// @param contexts each `base:allocation` or one of [#contexts]
  /// @param extentsMax no more stretches per context than this are wanted, at least 1
  default void contextStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      ContextsCompletion done) {
    done.failed(new IOException("metadata contexts not known here: " + contexts));
  }

  /// What has become of it that stays so, and what to do, for people; empty while it is whole.
  /// Looks, which may wait for a device; to be asked every second or so.
  default Optional<String> damage() throws IOException {
    return Optional.empty();
  }

  @Override
  void close() throws IOException;
}
