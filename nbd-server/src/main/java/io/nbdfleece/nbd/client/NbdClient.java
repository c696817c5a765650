// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/// One connection to one export of an NBD server, over TCP or a Unix socket.
///
/// **Requests** may be issued by any thread, many at once; their number in flight is the caller's
/// choice. The server may execute them in any order: await one that another depends on. A request
/// of length 0 sends nothing and succeeds.
///
/// **Futures** complete on the event loop of the connection: what depends on one must not wait, or
/// use the `…Async` methods. Cancelling a future does not stop the request. A future fails with an
/// `IOException`: an `NbdException` when the server answered with an error, with the server's own
/// text if it sent one; another one when the connection broke, which fails all requests in flight
/// and every later one. A server that violates the protocol breaks the connection: a request never
/// succeeds with less, or with other bytes, than the server sent for it.
///
/// **Buffers** are the client's until the future completes, however it completes. Position and
/// limit are left alone. Direct buffers save a copy.
///
/// **Limits**: a range must lie inside the export; a read or write carries at most
/// [#maximumRequestBytes], other requests at most 2^32 - 1 bytes. Requests beyond them, and
/// read-only targets, are the caller's mistake: IllegalArgumentException. A request for which the
/// server did not advertise the ability is not sent; its future fails with an `NbdException`, EPERM
/// if the export is read-only, else ENOTSUP.
public final class NbdClient implements AutoCloseable {
  private static final long UNSIGNED_INT_MAX = 0xffff_ffffL;

  private final NbdUri uri;
  private final Negotiated negotiated;
  private final Transmission transmission;

  private NbdClient(NbdUri uri, Negotiated negotiated, Transmission transmission) {
    this.uri = uri;
    this.negotiated = negotiated;
    this.transmission = transmission;
  }

  /// Connects, negotiates structured replies and the contexts (those the server lacks are left
  /// out), opens the export. The message of the exception names the URI and what to do. Waits at
  /// most about 10 s for the connection and 10 s for the handshake; an interrupt ends it with an
  /// InterruptedIOException.
  public static NbdClient connect(NbdUri uri, List<String> contexts) throws IOException {
    return connect(uri, contexts, NbdClientLoop.shared());
  }

  /// The same with more to choose from.
  public static NbdClient connect(NbdUri uri, ClientOptions options) throws IOException {
    return connect(uri, options.contexts(), options.loop().orElseGet(NbdClientLoop::shared));
  }

  /// The same on a loop of the caller's, which must stay open as long as the client.
  public static NbdClient connect(NbdUri uri, List<String> contexts, NbdClientLoop loop)
      throws IOException {
    List<String> distinct = contexts.stream().distinct().toList();
    return new Dialer(uri, loop)
        .exchange(
            (stream, negotiation) -> {
              Negotiated negotiated = negotiation.open(distinct);
              Transmission transmission =
                  new Transmission(stream.channel(), uri.toString(), negotiated);
              stream.handOver(transmission);
              loop.adopt(transmission);
              return new NbdClient(uri, negotiated, transmission);
            });
  }

  /// The names and descriptions that the server lists. The export name of the URI does not matter.
  public static List<ListedExport> list(NbdUri uri) throws IOException {
    return new Dialer(uri, NbdClientLoop.shared())
        .exchange(
            (stream, negotiation) -> {
              List<ListedExport> exports = negotiation.list();
              stream.close();
              return List.copyOf(exports);
            });
  }

  /// The same with more to choose from; the contexts do not matter.
  public static List<ListedExport> list(NbdUri uri, ClientOptions options) throws IOException {
    throw new IOException(uri + ": not there yet " + options);
  }

  /// The metadata contexts that the server lists for the export of the URI, without opening it
  /// (NBD_OPT_LIST_META_CONTEXT); none if it does not know of contexts. The contexts of the options
  /// do not matter.
  public static List<String> listContexts(NbdUri uri, ClientOptions options) throws IOException {
    throw new IOException(uri + ": not there yet " + options);
  }

  /// What the handshake settled.
  public NegotiatedExport negotiated() {
    throw new IllegalStateException();
  }

  /// What this client is connected to.
  public NbdUri uri() {
    return uri;
  }

  /// What the server said of the export. `metaContexts` are those negotiated.
  public ExportInfo info() {
    return negotiated.info();
  }

  /// The most bytes that one [#read] or [#write] may carry: the server's maximum block size, 32 MiB
  /// if it did not say, and never more than 64 MiB.
  public int maximumRequestBytes() {
    return negotiated.maximumRequestBytes();
  }

  /// A power of two. The server may refuse requests that are not aligned to it; mostly 1.
  public int minimumBlockBytes() {
    return negotiated.minimumBlockBytes();
  }

  /// NBD_CMD_READ; fills `target` from position to limit. After a failure its content is undefined.
  public CompletableFuture<Void> read(long offsetBytes, ByteBuffer target) {
    if (target.isReadOnly()) {
      throw new IllegalArgumentException("target: read-only (expected: writable)");
    }
    checkRange(offsetBytes, target.remaining(), maximumRequestBytes());
    if (!target.hasRemaining()) {
      return CompletableFuture.completedFuture(null);
    }
    Request.Read read = new Request.Read(offsetBytes, target.slice());
    transmission.submit(read);
    return read.future;
  }

  /// NBD_CMD_WRITE of `data` from position to limit. If it must be durable and the server has no
  /// FUA, a flush follows it.
  public CompletableFuture<Void> write(
      long offsetBytes, ByteBuffer data, Export.Durability durability) {
    checkRange(offsetBytes, data.remaining(), maximumRequestBytes());
    NbdException refusal = refusal(Ability.WRITE);
    if (refusal != null) {
      return CompletableFuture.failedFuture(refusal);
    }
    boolean durable = durability == Export.Durability.DURABLE;
    boolean fua = durable && info().can(Ability.FUA);
    if (durable && !fua && !info().can(Ability.FLUSH)) {
      return CompletableFuture.failedFuture(
          new NbdException(
              NbdError.ENOTSUP, uri + ": the server makes nothing durable, neither FUA nor flush"));
    }
    CompletableFuture<Void> written = CompletableFuture.completedFuture(null);
    if (data.hasRemaining()) {
      Request.Write write =
          new Request.Write(fua ? Nbd.CMD_FLAG_FUA : 0, offsetBytes, data.slice());
      transmission.submit(write);
      written = write.future;
    }
    return durable && !fua ? written.thenCompose(nothing -> flush()) : written;
  }

  /// NBD_CMD_TRIM.
  public CompletableFuture<Void> trim(long offsetBytes, long lengthBytes) {
    return plain(Ability.TRIM, Nbd.CMD_TRIM, 0, offsetBytes, lengthBytes);
  }

  /// NBD_CMD_WRITE_ZEROES.
  public CompletableFuture<Void> writeZeroes(
      long offsetBytes, long lengthBytes, Export.Zeroing zeroing) {
    int flags =
        (zeroing.mustStayProvisioned() ? Nbd.CMD_FLAG_NO_HOLE : 0)
            | (zeroing.mustBeFast() ? Nbd.CMD_FLAG_FAST_ZERO : 0);
    Ability ability = zeroing.mustBeFast() ? Ability.FAST_ZERO : Ability.WRITE_ZEROES;
    return plain(ability, Nbd.CMD_WRITE_ZEROES, flags, offsetBytes, lengthBytes);
  }

  /// NBD_CMD_CACHE: a hint that the range is going to be read.
  public CompletableFuture<Void> cache(long offsetBytes, long lengthBytes) {
    return plain(Ability.CACHE, Nbd.CMD_CACHE, 0, offsetBytes, lengthBytes);
  }

  /// NBD_CMD_FLUSH: makes durable what was written by requests that had completed before this call.
  public CompletableFuture<Void> flush() {
    NbdException refusal = refusal(Ability.FLUSH);
    if (refusal != null) {
      return CompletableFuture.failedFuture(refusal);
    }
    return submit(new Request.Plain(Nbd.CMD_FLUSH, 0, 0, 0));
  }

  /// NBD_CMD_BLOCK_STATUS, all negotiated contexts, in the order in which they were asked for. What
  /// the server gave: extents from `offsetBytes` on, which may cover less than asked, and the last
  /// one more; each context may cover another length.
  ///
  /// @param lengthBytes 1 to 2^32 - 1
  public CompletableFuture<List<ContextExtents>> blockStatus(long offsetBytes, long lengthBytes) {
    if (lengthBytes == 0) {
      throw new IllegalArgumentException("lengthBytes: 0 (expected: >= 1)");
    }
    checkRange(offsetBytes, lengthBytes, UNSIGNED_INT_MAX);
    if (negotiated.contextById().isEmpty()) {
      return CompletableFuture.failedFuture(
          new NbdException(
              NbdError.ENOTSUP,
              uri + ": no metadata context was negotiated (expected: one, when connecting)"));
    }
    Request.Status status = new Request.Status(offsetBytes, lengthBytes, negotiated);
    transmission.submit(status);
    return status.future;
  }

  private CompletableFuture<Void> plain(
      Ability ability, int command, int flags, long offsetBytes, long lengthBytes) {
    checkRange(offsetBytes, lengthBytes, UNSIGNED_INT_MAX);
    NbdException refusal = refusal(ability);
    if (refusal != null) {
      return CompletableFuture.failedFuture(refusal);
    }
    if (lengthBytes == 0) {
      return CompletableFuture.completedFuture(null);
    }
    return submit(new Request.Plain(command, flags, offsetBytes, lengthBytes));
  }

  private CompletableFuture<Void> submit(Request.Plain request) {
    transmission.submit(request);
    return request.future;
  }

  private @Nullable NbdException refusal(Ability ability) {
    if (info().can(ability)) {
      return null;
    }
    boolean changes =
        switch (ability) {
          case WRITE, TRIM, WRITE_ZEROES, FAST_ZERO -> true;
          case FLUSH, FUA, CACHE, MULTI_CONN, ROTATIONAL -> false;
        };
    return changes && !info().can(Ability.WRITE)
        ? new NbdException(NbdError.EPERM, uri + ": the export is read-only")
        : new NbdException(NbdError.ENOTSUP, uri + ": the server does not offer " + ability);
  }

  private void checkRange(long offsetBytes, long lengthBytes, long lengthBytesMax) {
    long sizeBytes = info().sizeBytes();
    if (lengthBytes < 0 || lengthBytes > lengthBytesMax) {
      throw new IllegalArgumentException(
          "length: " + lengthBytes + " (expected: 0 to " + lengthBytesMax + ")");
    }
    if (offsetBytes < 0 || offsetBytes > sizeBytes || lengthBytes > sizeBytes - offsetBytes) {
      throw new IllegalArgumentException(
          "range: offset="
              + offsetBytes
              + " length="
              + lengthBytes
              + " (expected: inside of the export's "
              + sizeBytes
              + " bytes)");
    }
  }

  /// Waits for the replies to what is in flight, at most 10 s, sends NBD_CMD_DISC and closes. Not
  /// the other way round: some servers drop replies that they owe when they see NBD_CMD_DISC
  /// (qemu-nbd 10), or fail requests with ESHUTDOWN (nbdkit 1.42). Idempotent. Called on an event
  /// loop, it does the same but does not wait.
  @Override
  public void close() {
    transmission.disconnect();
    transmission.awaitClosed();
  }

  /// Closes the socket at once, without NBD_CMD_DISC, as if this process had died; requests in
  /// flight fail. Idempotent.
  public void abort() {
    transmission.abort("the client aborted the connection");
    transmission.awaitClosed();
  }

  /// One line of NBD_OPT_LIST.
  public record ListedExport(String name, String description) {}
}
