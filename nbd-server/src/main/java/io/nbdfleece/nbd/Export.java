// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;

/// What one NBD export serves. This is the SPI of the server: implement it, hand it out through an
/// [ExportCatalog], and any NBD client can use it. No Netty type appears in it.
///
/// **Threads.** Every method may be called by several event loops at once, one per connection that
/// opened the export. A method MUST NOT wait: it either finishes at once and completes inside the
/// call, which is the fast path and costs no change of thread, or it starts the work, returns, and
/// completes later on any thread. Requests of one connection are started in the order in which they
/// came and may complete in any order (NBD specification, "Ordering of messages and writes").
///
/// **Arguments.** The server has checked them: offset and length lie inside the export, are not
/// negative, and the request is one that [#info] allows. A length of zero never reaches an export.
///
/// **Buffers.** A buffer belongs to the export from the call until the completion, not longer. They
/// are direct buffers.
///
/// **Errors.** Fail with an [NbdException] to choose the errno that the client sees; any other
/// `IOException` becomes EIO. The message goes to clients that negotiated structured replies.
public interface Export {

  /// Size, abilities and block sizes. Constant while the export exists; cheap; never waits.
  ExportInfo info();

  /// A client opened this export (NBD_OPT_GO or NBD_OPT_EXPORT_NAME succeeded). Paired with
  /// [#disconnected], which is called once the last request of that connection has completed.
  default void connected() {}

  /// What the server calls: the same with a hold on the connection, for an export that may be taken
  /// away while it has clients. When it calls [ExportClient#disconnect] in here, no request of that
  /// connection ever comes.
  default void connected(ExportClient client) {
    connected();
  }

  /// The connection counted by [#connected] has ended.
  default void disconnected() {}

  /// NBD_CMD_READ: fills `target` from its position to its limit with the bytes at `offsetBytes`.
  void read(long offsetBytes, ByteBuffer target, Completion done);

  /// NBD_CMD_READ without a buffer: who can send the bytes of the range, when they are at hand now.
  /// When nobody can a [#read] follows. The bytes are sent soon, at the latest before
  /// [#disconnected]. Does not wait.
  default Optional<DirectSource> direct(long offsetBytes, int lengthBytes) {
    return Optional.empty();
  }

  /// NBD_CMD_WRITE: writes `data` from its position to its limit at `offsetBytes`.
  void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done);

  /// NBD_CMD_TRIM: a hint that the content of the range is not needed.
  void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done);

  /// NBD_CMD_WRITE_ZEROES: the range reads as zeroes afterwards. When `zeroing` is
  /// [Zeroing#FAST_ONLY] or [Zeroing#FAST_ONLY_NO_HOLE] and it would be no faster than writing
  /// zeroes, fails with [NbdError#ENOTSUP] and changes nothing.
  void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done);

  /// NBD_CMD_FLUSH: every write whose completion was called before this call is durable when this
  /// completes, whichever connection it came from.
  void flush(Completion done);

  /// NBD_CMD_CACHE: a hint that the range is going to be read.
  void cache(long offsetBytes, long lengthBytes, Completion done);

  /// NBD_CMD_BLOCK_STATUS for the given metadata contexts, each one of [ExportInfo#metaContexts].
  ///
  /// @param extentsMax the client has no use for more extents per context than this, at least 1
  void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done);

  /// Whether a write must have reached stable storage before it completes (NBD_CMD_FLAG_FUA).
  enum Durability {
    /// As the disk pleases; a later flush makes it durable.
    CACHED,
    /// On stable storage before the completion.
    DURABLE
  }

  /// How NBD_CMD_WRITE_ZEROES may be done (NBD_CMD_FLAG_NO_HOLE, NBD_CMD_FLAG_FAST_ZERO).
  enum Zeroing {
    /// May free the space.
    MAY_PUNCH,
    /// Must stay provisioned.
    NO_HOLE,
    /// May free the space; must fail rather than be slow.
    FAST_ONLY,
    /// Must stay provisioned; must fail rather than be slow.
    FAST_ONLY_NO_HOLE;

    /// Whether it must fail with [NbdError#ENOTSUP] rather than be slow.
    public boolean mustBeFast() {
      return this == FAST_ONLY || this == FAST_ONLY_NO_HOLE;
    }

    /// Whether the range must stay provisioned.
    public boolean mustStayProvisioned() {
      return this == NO_HOLE || this == FAST_ONLY_NO_HOLE;
    }
  }
}
