// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/// A request from its submission to the completion of its future. Built by any thread; from then on
/// it belongs to the event loop of the connection.
abstract sealed class Request {
  final int command;
  final int flags;
  final long offsetBytes;
  final long lengthBytes;

  /// More chunks than any sane answer has: a read of 64 MiB in sectors has 2^17.
  private static final int CHUNK_COUNT_MAX = 1 << 18;

  /// When it was sent ([System#nanoTime]). Event loop only.
  long sentNanos;

  private int chunkCount;

  /// The first error of the server. It does not end the request: only its last chunk does.
  private @Nullable NbdException error;

  private Request(int command, int flags, long offsetBytes, long lengthBytes) {
    this.command = command;
    this.flags = flags;
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
  }

  /// The next chunk of the reply begins. Bounds how long a server can go on with one reply.
  final void countChunk() throws ProtocolViolationException {
    if (++chunkCount > CHUNK_COUNT_MAX) {
      throw new ProtocolViolationException(
          "more than " + CHUNK_COUNT_MAX + " chunks, request: " + this);
    }
  }

  /// The server reported an error; later ones add nothing.
  final void serverFailed(NbdException reported) {
    if (error == null) {
      error = reported;
    }
  }

  /// The reply is whole. Throws, and leaves the future alone, if it does not answer the request.
  final void replied() throws ProtocolViolationException {
    if (error != null) {
      fail(error);
    } else {
      succeed();
    }
  }

  abstract void succeed() throws ProtocolViolationException;

  abstract void fail(IOException cause);

  @Override
  public final String toString() {
    String name =
        switch (command) {
          case Nbd.CMD_READ -> "read";
          case Nbd.CMD_WRITE -> "write";
          case Nbd.CMD_FLUSH -> "flush";
          case Nbd.CMD_TRIM -> "trim";
          case Nbd.CMD_CACHE -> "cache";
          case Nbd.CMD_WRITE_ZEROES -> "write zeroes";
          case Nbd.CMD_BLOCK_STATUS -> "block status";
          default -> "command " + command;
        };
    return name + " offset=" + offsetBytes + " length=" + lengthBytes;
  }

  /// Anything that is answered by a bare yes or no.
  static final class Plain extends Request {
    final CompletableFuture<Void> future = new CompletableFuture<>();

    Plain(int command, int flags, long offsetBytes, long lengthBytes) {
      super(command, flags, offsetBytes, lengthBytes);
    }

    @Override
    void succeed() {
      future.complete(null);
    }

    @Override
    void fail(IOException cause) {
      future.completeExceptionally(cause);
    }
  }

  /// A write. Its future waits until the last byte has left the caller's buffer, even if a server
  /// should answer before, because the caller may free the buffer as soon as the future completes.
  static final class Write extends Request {
    final CompletableFuture<Void> future = new CompletableFuture<>();
    final ByteBuffer data;
    private boolean bufferFree;
    private @Nullable Runnable heldOutcome;

    Write(int flags, long offsetBytes, ByteBuffer data) {
      super(Nbd.CMD_WRITE, flags, offsetBytes, data.remaining());
      this.data = data;
    }

    /// Netty has let go of the buffer.
    void bufferReleased() {
      bufferFree = true;
      if (heldOutcome != null) {
        heldOutcome.run();
      }
    }

    @Override
    void succeed() {
      settle(() -> future.complete(null));
    }

    @Override
    void fail(IOException cause) {
      settle(() -> future.completeExceptionally(cause));
    }

    private void settle(Runnable outcome) {
      if (bufferFree) {
        outcome.run();
      } else if (heldOutcome == null) {
        heldOutcome = outcome;
      }
    }
  }

  /// A read into the caller's buffer.
  static final class Read extends Request {
    final CompletableFuture<Void> future = new CompletableFuture<>();
    final ReadCoverage coverage = new ReadCoverage();

    /// The caller's buffer; position 0 is the first byte of the request.
    final ByteBuffer target;

    Read(long offsetBytes, ByteBuffer target) {
      super(Nbd.CMD_READ, 0, offsetBytes, target.remaining());
      this.target = target;
    }

    /// The range of `target` that a chunk describes. The chunk must lie inside the request, and
    /// touch nothing that an earlier chunk described.
    int claim(long chunkOffsetBytes, long chunkLengthBytes) throws ProtocolViolationException {
      // Unsigned 64-bit offsets above 2^63 are negative here and fail the first comparison.
      long start = chunkOffsetBytes - offsetBytes;
      if (chunkOffsetBytes < offsetBytes
          || chunkLengthBytes < 1
          || start > lengthBytes
          || chunkLengthBytes > lengthBytes - start) {
        throw new ProtocolViolationException(
            "a chunk outside of the request: offset="
                + Long.toUnsignedString(chunkOffsetBytes)
                + " length="
                + chunkLengthBytes
                + ", request: "
                + this);
      }
      coverage.add((int) start, (int) chunkLengthBytes);
      return (int) start;
    }

    @Override
    void succeed() throws ProtocolViolationException {
      if (!coverage.covers((int) lengthBytes)) {
        throw new ProtocolViolationException(
            "a read reply without all its bytes: the first one missing is at "
                + (offsetBytes + coverage.firstMissing())
                + ", request: "
                + this);
      }
      future.complete(null);
    }

    @Override
    void fail(IOException cause) {
      future.completeExceptionally(cause);
    }
  }

  /// A block status request for all contexts of the connection, or for some.
  static final class Status extends Request {
    /// Over all contexts. What a server sends beyond is looked at and not kept: a shorter answer is
    /// allowed, and a reply of 64 contexts with 2^20 extents each would be gigabytes.
    private static final int EXTENT_COUNT_MAX = 1 << 16;

    final CompletableFuture<List<ContextExtents>> future = new CompletableFuture<>();

    /// What the header announces: range and ids (NBD specification, "NBD_CMD_BLOCK_STATUS" with
    /// NBD_CMD_FLAG_PAYLOAD_LEN). Empty when all contexts are asked for.
    final byte[] payload;

    private final Map<Integer, String> contextById;
    private final long sizeBytes;
    private final int extentsPerContextMax;
    private final Map<Integer, List<Extent>> extentsById = new HashMap<>();
    private List<Extent> current = List.of();
    private long currentBytes;

    private Status(
        long offsetBytes,
        long lengthBytes,
        Map<Integer, String> contextById,
        long sizeBytes,
        int extentsMax,
        byte[] payload) {
      super(
          Nbd.CMD_BLOCK_STATUS,
          payload.length == 0 ? 0 : Nbd.CMD_FLAG_PAYLOAD_LEN,
          offsetBytes,
          lengthBytes);
      this.contextById = contextById;
      this.sizeBytes = sizeBytes;
      this.payload = payload;
      this.extentsPerContextMax =
          Math.clamp(EXTENT_COUNT_MAX / Math.max(1, contextById.size()), 1, extentsMax);
    }

    /// Of all contexts of the connection.
    ///
    /// @param extentsMax as many per context are of use, at least 1
    static Status ofAll(
        long offsetBytes,
        long lengthBytes,
        Map<Integer, String> contextById,
        long sizeBytes,
        int extentsMax) {
      return new Status(offsetBytes, lengthBytes, contextById, sizeBytes, extentsMax, new byte[0]);
    }

    /// Of these contexts only.
    static Status ofSome(
        long offsetBytes,
        long lengthBytes,
        Map<Integer, String> contextById,
        long sizeBytes,
        int extentsMax) {
      ByteBuffer payload = ByteBuffer.allocate(8 + 4 * contextById.size()).putLong(lengthBytes);
      contextById.keySet().forEach(payload::putInt);
      return new Status(
          offsetBytes, lengthBytes, contextById, sizeBytes, extentsMax, payload.array());
    }

    void startContext(int id) throws ProtocolViolationException {
      if (!contextById.containsKey(id)) {
        throw new ProtocolViolationException(
            "block status of context id " + Integer.toUnsignedString(id) + ", never negotiated");
      }
      current = new ArrayList<>();
      currentBytes = 0;
      if (extentsById.put(id, current) != null) {
        throw new ProtocolViolationException(
            "block status of " + contextById.get(id) + " twice, request: " + this);
      }
    }

    /// One descriptor. Only the last may reach past the request, none past the export.
    void addExtent(long extentBytes, long extentFlags) throws ProtocolViolationException {
      if (extentBytes == 0 || currentBytes >= lengthBytes) {
        throw new ProtocolViolationException(
            (extentBytes == 0 ? "an extent of length 0" : "an extent behind the request's end")
                + ", request: "
                + this);
      }
      long start = offsetBytes + currentBytes;
      if (extentBytes < 0 || extentBytes > sizeBytes - start) {
        throw new ProtocolViolationException(
            "an extent at "
                + start
                + " of "
                + Long.toUnsignedString(extentBytes)
                + " bytes, behind the export's end at "
                + sizeBytes
                + ", request: "
                + this);
      }
      currentBytes += extentBytes;
      if (current.size() < extentsPerContextMax) {
        current.add(new Extent(extentBytes, extentFlags));
      }
    }

    @Override
    void succeed() throws ProtocolViolationException {
      List<ContextExtents> contexts = new ArrayList<>();
      for (Map.Entry<Integer, String> context : contextById.entrySet()) {
        List<Extent> extents = extentsById.get(context.getKey());
        if (extents == null || extents.isEmpty()) {
          throw new ProtocolViolationException(
              "a block status reply without " + context.getValue() + ", request: " + this);
        }
        contexts.add(new ContextExtents(context.getValue(), extents));
      }
      future.complete(contexts);
    }

    @Override
    void fail(IOException cause) {
      future.completeExceptionally(cause);
    }
  }
}
