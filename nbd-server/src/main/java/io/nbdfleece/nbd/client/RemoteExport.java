// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// An export of another NBD server, over as many connections as it allows, which are made again
/// when they break. Being an [Export] it can be served as it is, or be the disk below a filter.
///
/// **What it can do.** `info` says what the server said: abilities, block sizes, and all metadata
/// contexts it lists (at most 64). Two abilities are added: FUA where the server can flush, as a
/// flush behind the request; and MULTI_CONN, because whoever opens this export several times shares
/// its connections. What the server lacks is not there; asked for all the same, it fails with
/// ENOTSUP or EPERM. Requests longer than the server takes are sent in pieces.
///
/// **When the server goes away** requests that it has not answered are sent again over the next
/// connection, as are those that come meanwhile, for [RemoteOptions#reconnectDelay]. From then on
/// requests fail with EIO at once, while connecting goes on in the background (after 100 ms, then
/// twice as long each time, to 5 s), and the first success heals everything. A server that comes
/// back with another size, with fewer abilities, narrower limits, or without `base:allocation` is
/// not the one that went away: all requests fail from then on, for good. Other contexts may go, as
/// a dirty bitmap does that is removed: `info` keeps them, and asking for one fails with ENOTSUP
/// over every connection made since.
///
/// A host that dies without a word is found out by TCP within two minutes, a server that holds the
/// connection and does not answer by [RemoteOptions#requestDeadline] only.
///
/// **What sending again means.** Every request of the protocol can be repeated while its caller
/// still waits: the caller has been told nothing, so the range of an unanswered write holds the old
/// bytes, the new ones or a mix, and holds the new ones after the repetition. Requests that overlap
/// and are in flight together have no order, repeated or not. One thing no client can rule out: a
/// server that lives on may carry out a request of a lost connection later than its repetition, and
/// after a newer write of the same range. Servers end a connection's requests before they forget
/// it; a server whose storage hangs for longer than [RemoteOptions#requestDeadline] may not.
///
/// **Flush.** A flush makes durable what the server holds when it comes. Writes acknowledged over a
/// connection that broke before they were flushed are among that if the server (or another process
/// on the same storage) still has them: always when only the connection broke, and when a server
/// that writes through the page cache of its host was restarted. They are lost, without an error
/// here, if its host crashed, or if a server was killed that keeps data or metadata in its own
/// memory until a flush (`qemu-nbd` with qcow2 and a write-back cache). QEMU's own client behaves
/// alike. A log line tells when a connection was lost with writes not yet flushed.
///
/// **Threads.** Any. Nothing waits but [#open] and [#close]. Completions come on event loops, or
/// inside the call. How many requests are in flight, or wait for the server, is the caller's
/// choice.
public final class RemoteExport implements Export, AutoCloseable {
  /// Of one request without data, where the server counts lengths in 32 bits. A multiple of every
  /// block size, and what careful servers still take.
  private static final long EFFECT_BYTES_MAX = 1L << 31;

  private final RemoteLink link;
  private final ExportInfo info;
  private final int dataBytesMax;
  private final long effectBytesMax;

  private RemoteExport(RemoteLink link, NbdClient first) {
    this.link = link;
    this.info = info(first);
    this.dataBytesMax = first.maximumRequestBytes();
    this.effectBytesMax = first.negotiated().extendedHeaders() ? Long.MAX_VALUE : EFFECT_BYTES_MAX;
  }

  /// Connects. Waits; the message of the exception names the URI and what to do. The contexts of
  /// the options do not matter.
  public static RemoteExport open(NbdUri uri, RemoteOptions options, ClientOptions client)
      throws IOException {
    ClientOptions all = client.withContexts(List.of(ClientOptions.ALL_CONTEXTS));
    NbdClient first = NbdClient.connect(uri, all);
    if (first.info().sizeBytes() % first.minimumBlockBytes() != 0) {
      first.close();
      throw new IOException(
          uri
              + ": size "
              + first.info().sizeBytes()
              + " is no multiple of the server's minimum block of "
              + first.minimumBlockBytes()
              + " bytes, so its end cannot be read; make the disk a multiple of it");
    }
    return new RemoteExport(RemoteLink.start(uri, options, all, first), first);
  }

  private static ExportInfo info(NbdClient client) {
    Set<Ability> abilities = EnumSet.of(Ability.MULTI_CONN);
    abilities.addAll(client.info().abilities());
    if (abilities.contains(Ability.FLUSH)) {
      abilities.add(Ability.FUA);
    }
    return new ExportInfo(
        client.info().sizeBytes(),
        client.info().description(),
        abilities,
        client.minimumBlockBytes(),
        client.info().preferredBlockBytes(),
        client.info().metaContexts());
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  /// What the first connection settled.
  public NegotiatedExport negotiated() {
    return link.expected();
  }

  /// How many connections there are at this moment; 0 while the server is away.
  public int connectionCount() {
    return link.connectionCount();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    int position = target.position();
    int total = target.remaining();
    SplitRequest.start(
        total,
        dataBytesMax,
        (start, length, pieceDone) -> {
          ByteBuffer piece =
              length == total ? target : target.slice(position + (int) start, (int) length);
          submit(client -> client.read(offsetBytes + start, piece), pieceDone);
        },
        done);
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    int position = data.position();
    int total = data.remaining();
    SplitRequest.start(
        total,
        dataBytesMax,
        (start, length, pieceDone) -> {
          ByteBuffer piece =
              length == total ? data : data.slice(position + (int) start, (int) length);
          submitChange(
              client -> client.write(offsetBytes + start, piece, durability),
              durability,
              pieceDone);
        },
        done);
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    SplitRequest.start(
        lengthBytes,
        effectBytesMax,
        (start, length, pieceDone) ->
            submitChange(
                client -> client.trim(offsetBytes + start, length, durability),
                durability,
                pieceDone),
        done);
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    if (zeroing.mustBeFast() && lengthBytes > effectBytesMax) {
      // In pieces the first could succeed and the second not, but it must change nothing then.
      done.failed(
          new NbdException(
              NbdError.ENOTSUP, "fast zeroes: " + lengthBytes + " bytes, <= " + effectBytesMax));
      return;
    }
    SplitRequest.start(
        lengthBytes,
        effectBytesMax,
        (start, length, pieceDone) ->
            submitChange(
                client -> client.writeZeroes(offsetBytes + start, length, zeroing, durability),
                durability,
                pieceDone),
        done);
  }

  @Override
  public void flush(Completion done) {
    link.flushBegins();
    link.submit(
        new RemoteRequest<>(
            NbdClient::flush,
            nothing -> done.succeeded(),
            cause -> {
              link.changeAcknowledged(); // what it would have covered is still to be flushed
              done.failed(cause);
            }));
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    SplitRequest.start(
        lengthBytes,
        effectBytesMax,
        (start, length, pieceDone) ->
            submit(client -> client.cache(offsetBytes + start, length), pieceDone),
        done);
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    long length = Math.min(lengthBytes, effectBytesMax);
    link.submit(
        new RemoteRequest<>(
            client -> client.blockStatus(offsetBytes, length, contexts, extentsMax),
            done::succeeded,
            done::failed));
  }

  private void submit(RemoteRequest.Sender<Void> sender, Completion done) {
    link.submit(new RemoteRequest<>(sender, nothing -> done.succeeded(), done::failed));
  }

  private void submitChange(
      RemoteRequest.Sender<Void> sender, Durability durability, Completion done) {
    if (durability == Durability.DURABLE) {
      submit(sender, done);
      return;
    }
    link.submit(
        new RemoteRequest<>(
            sender,
            nothing -> {
              link.changeAcknowledged();
              done.succeeded();
            },
            done::failed));
  }

  /// Lets go of the server: waits for what is in flight at most 10 s, then says goodbye. Requests
  /// that wait for the server to come back fail at once, as do those that come later. Idempotent.
  @Override
  public void close() {
    link.close();
  }
}
