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
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// One connection to one export of an NBD server, over TCP or a Unix socket, encrypted if the URI
/// says so. Structured replies and extended headers are used where the server has them.
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
/// [#maximumRequestBytes], other requests at most [#effectBytesMax]. Requests beyond them, and
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
    return connect(uri, ClientOptions.defaults().withContexts(contexts));
  }

  /// The same with more to choose from.
  public static NbdClient connect(NbdUri uri, ClientOptions options) throws IOException {
    return new Dialer(uri, options)
        .exchange(
            (stream, negotiation) -> {
              Negotiated negotiated =
                  negotiation.open(options.contexts(), options.extendedHeaders());
              Transmission transmission =
                  new Transmission(stream.channel(), uri.toString(), negotiated);
              stream.handOver(transmission);
              options.loop().orElseGet(NbdClientLoop::shared).adopt(transmission);
              return new NbdClient(uri, negotiated, transmission);
            });
  }

  /// The same on a loop of the caller's, which must stay open as long as the client.
  public static NbdClient connect(NbdUri uri, List<String> contexts, NbdClientLoop loop)
      throws IOException {
    return connect(uri, ClientOptions.defaults().withContexts(contexts).withLoop(loop));
  }

  /// The names and descriptions that the server lists. The export name of the URI does not matter.
  public static List<ListedExport> list(NbdUri uri) throws IOException {
    return list(uri, ClientOptions.defaults());
  }

  /// The same with more to choose from; the contexts do not matter.
  public static List<ListedExport> list(NbdUri uri, ClientOptions options) throws IOException {
    return new Dialer(uri, options)
        .exchange(
            (stream, negotiation) -> {
              List<ListedExport> exports = negotiation.list();
              stream.close();
              return List.copyOf(exports);
            });
  }

  /// The metadata contexts that the server lists for the export of the URI, without opening it
  /// (NBD_OPT_LIST_META_CONTEXT), at most 64; none if it does not know of contexts, or of the
  /// export. The contexts of the options do not matter.
  public static List<String> listContexts(NbdUri uri, ClientOptions options) throws IOException {
    return new Dialer(uri, options)
        .exchange(
            (stream, negotiation) -> {
              List<String> contexts = negotiation.listContexts();
              stream.close();
              return List.copyOf(contexts);
            });
  }

  /// What the handshake settled.
  public NegotiatedExport negotiated() {
    return negotiated.export();
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

  /// The most bytes that a request without data may cover: 2^32 - 1, or `Long.MAX_VALUE` with
  /// extended headers.
  public long effectBytesMax() {
    return negotiated.isExtended() ? Long.MAX_VALUE : UNSIGNED_INT_MAX;
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
  /// FUA, a flush follows it; so for the other requests that take a durability.
  public CompletableFuture<Void> write(
      long offsetBytes, ByteBuffer data, Export.Durability durability) {
    checkRange(offsetBytes, data.remaining(), maximumRequestBytes());
    return changing(
        Ability.WRITE, durability, fua -> write(new Request.Write(fua, offsetBytes, data.slice())));
  }

  private CompletableFuture<Void> write(Request.Write write) {
    if (write.lengthBytes == 0) {
      return CompletableFuture.completedFuture(null);
    }
    transmission.submit(write);
    return write.future;
  }

  /// NBD_CMD_TRIM.
  public CompletableFuture<Void> trim(long offsetBytes, long lengthBytes) {
    return trim(offsetBytes, lengthBytes, Export.Durability.CACHED);
  }

  /// NBD_CMD_TRIM.
  public CompletableFuture<Void> trim(
      long offsetBytes, long lengthBytes, Export.Durability durability) {
    checkRange(offsetBytes, lengthBytes, effectBytesMax());
    return changing(
        Ability.TRIM, durability, fua -> plain(Nbd.CMD_TRIM, fua, offsetBytes, lengthBytes));
  }

  /// NBD_CMD_WRITE_ZEROES.
  public CompletableFuture<Void> writeZeroes(
      long offsetBytes, long lengthBytes, Export.Zeroing zeroing) {
    return writeZeroes(offsetBytes, lengthBytes, zeroing, Export.Durability.CACHED);
  }

  /// NBD_CMD_WRITE_ZEROES.
  public CompletableFuture<Void> writeZeroes(
      long offsetBytes, long lengthBytes, Export.Zeroing zeroing, Export.Durability durability) {
    checkRange(offsetBytes, lengthBytes, effectBytesMax());
    int flags =
        (zeroing.mustStayProvisioned() ? Nbd.CMD_FLAG_NO_HOLE : 0)
            | (zeroing.mustBeFast() ? Nbd.CMD_FLAG_FAST_ZERO : 0);
    return changing(
        zeroing.mustBeFast() ? Ability.FAST_ZERO : Ability.WRITE_ZEROES,
        durability,
        fua -> plain(Nbd.CMD_WRITE_ZEROES, flags | fua, offsetBytes, lengthBytes));
  }

  /// NBD_CMD_CACHE: a hint that the range is going to be read.
  public CompletableFuture<Void> cache(long offsetBytes, long lengthBytes) {
    checkRange(offsetBytes, lengthBytes, effectBytesMax());
    NbdException refusal = refusal(Ability.CACHE);
    return refusal == null
        ? plain(Nbd.CMD_CACHE, 0, offsetBytes, lengthBytes)
        : CompletableFuture.failedFuture(refusal);
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
  /// one more; each context may cover another length. Of a longer answer only the first 2^16
  /// extents are kept, shared out evenly among the contexts.
  ///
  /// @param lengthBytes 1 to [#effectBytesMax]
  public CompletableFuture<List<ContextExtents>> blockStatus(long offsetBytes, long lengthBytes) {
    return blockStatus(offsetBytes, lengthBytes, info().metaContexts());
  }

  /// The same for some of the negotiated contexts, in this order. The server is asked for these
  /// only if it offers that (NBD_FLAG_BLOCK_STATUS_PAYLOAD), else for all.
  public CompletableFuture<List<ContextExtents>> blockStatus(
      long offsetBytes, long lengthBytes, List<String> contexts) {
    return blockStatus(offsetBytes, lengthBytes, contexts, Integer.MAX_VALUE);
  }

  /// The same, where the caller has no use for more extents per context, at least 1.
  CompletableFuture<List<ContextExtents>> blockStatus(
      long offsetBytes, long lengthBytes, List<String> contexts, int extentsMax) {
    if (lengthBytes == 0) {
      throw new IllegalArgumentException("lengthBytes: 0 (expected: >= 1)");
    }
    checkRange(offsetBytes, lengthBytes, effectBytesMax());
    List<String> all = info().metaContexts();
    if (contexts.isEmpty() || !all.containsAll(contexts)) {
      return CompletableFuture.failedFuture(
          new NbdException(
              NbdError.ENOTSUP,
              uri
                  + ": no metadata context "
                  + (contexts.isEmpty() ? "" : contexts + " ")
                  + "was negotiated (expected: when connecting, one of those that it offers)"));
    }
    boolean isAll = contexts.equals(all);
    boolean asksForSome = !isAll && negotiated.export().statusPayload();
    Map<Integer, String> asked = asksForSome ? idsOf(contexts) : negotiated.contextById();
    long sizeBytes = info().sizeBytes();
    Request.Status status =
        asksForSome
            ? Request.Status.ofSome(offsetBytes, lengthBytes, asked, sizeBytes, extentsMax)
            : Request.Status.ofAll(offsetBytes, lengthBytes, asked, sizeBytes, extentsMax);
    transmission.submit(status);
    return isAll ? status.future : status.future.thenApply(found -> pick(found, contexts));
  }

  private Map<Integer, String> idsOf(List<String> contexts) {
    Map<Integer, String> some = new LinkedHashMap<>(negotiated.contextById());
    some.values().retainAll(Set.copyOf(contexts));
    return some;
  }

  private static List<ContextExtents> pick(List<ContextExtents> found, List<String> contexts) {
    List<ContextExtents> picked = new ArrayList<>(contexts.size());
    for (String context : contexts) {
      for (ContextExtents one : found) {
        if (one.context().equals(context)) {
          picked.add(one);
        }
      }
    }
    return picked;
  }

  /// A request that carries flags beyond its own.
  private interface Flagged {
    CompletableFuture<Void> submit(int flags);
  }

  private CompletableFuture<Void> changing(
      Ability ability, Export.Durability durability, Flagged request) {
    NbdException refusal = refusal(ability);
    if (refusal != null) {
      return CompletableFuture.failedFuture(refusal);
    }
    if (durability == Export.Durability.CACHED) {
      return request.submit(0);
    }
    if (info().can(Ability.FUA)) {
      return request.submit(Nbd.CMD_FLAG_FUA);
    }
    if (!info().can(Ability.FLUSH)) {
      return CompletableFuture.failedFuture(
          new NbdException(
              NbdError.ENOTSUP, uri + ": the server makes nothing durable, neither FUA nor flush"));
    }
    return request.submit(0).thenCompose(nothing -> flushOfChange());
  }

  /// Whatever number the server gives, e.g. that it is full, it is no answer to the change, which
  /// has succeeded, and may tell of earlier ones that are lost. Shutting down stays what it is.
  private CompletableFuture<Void> flushOfChange() {
    return flush()
        .exceptionallyCompose(
            error ->
                CompletableFuture.failedFuture(
                    error instanceof NbdException answer && answer.error() != NbdError.ESHUTDOWN
                        ? new NbdException(
                            NbdError.EIO, String.valueOf(answer.getMessage()), answer)
                        : error));
  }

  private CompletableFuture<Void> plain(
      int command, int flags, long offsetBytes, long lengthBytes) {
    return lengthBytes == 0
        ? CompletableFuture.completedFuture(null)
        : submit(new Request.Plain(command, flags, offsetBytes, lengthBytes));
  }

  private CompletableFuture<Void> submit(Request.Plain request) {
    transmission.submit(request);
    return request.future;
  }

  /// Breaks the connection if a request has been without an answer for that long.
  void breakIfUnanswered(long deadlineNanos) {
    transmission.breakIfUnanswered(deadlineNanos);
  }

  /// The action gets to know why the connection ended, once it has, on its event loop, or here if
  /// it has ended already.
  void whenClosed(Consumer<IOException> action) {
    transmission.whenClosed(() -> action.accept(transmission.whyEnded()));
  }

  /// Begins what [#close] does, without waiting.
  void disconnect() {
    transmission.disconnect();
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
