// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/// One connection to one export of an NBD server. Skeleton of the contract; to be written.
///
/// Requests may be issued by any thread, many at once; their number in flight is the caller's
/// choice. A future fails with an `IOException`: an `NbdException` when the server answered with an
/// error, with the server's own text if it sent one; another one when the connection broke, which
/// fails all requests in flight and every later one. Buffers are the client's until the future
/// completes.
public final class NbdClient implements AutoCloseable {
  private NbdClient() {}

  /// Connects, negotiates structured replies and the contexts (those the server lacks are left
  /// out), opens the export. The message of the exception names the URI and what to do.
  public static NbdClient connect(NbdUri uri, List<String> contexts) throws IOException {
    throw new IOException("skeleton " + uri + contexts);
  }

  /// The names and descriptions that the server lists.
  public static List<ListedExport> list(NbdUri uri) throws IOException {
    throw new IOException("skeleton " + uri);
  }

  /// What the server said of the export. `metaContexts` are those negotiated.
  public ExportInfo info() {
    throw new IllegalStateException("skeleton");
  }

  /// NBD_CMD_READ; fills `target` from position to limit.
  public CompletableFuture<Void> read(long offsetBytes, ByteBuffer target) {
    throw new IllegalStateException("skeleton" + offsetBytes + target);
  }

  /// NBD_CMD_WRITE of `data` from position to limit.
  public CompletableFuture<Void> write(
      long offsetBytes, ByteBuffer data, Export.Durability durability) {
    throw new IllegalStateException("skeleton" + offsetBytes + data + durability);
  }

  /// NBD_CMD_TRIM.
  public CompletableFuture<Void> trim(long offsetBytes, long lengthBytes) {
    throw new IllegalStateException("skeleton" + offsetBytes + lengthBytes);
  }

  /// NBD_CMD_WRITE_ZEROES.
  public CompletableFuture<Void> writeZeroes(
      long offsetBytes, long lengthBytes, Export.Zeroing zeroing) {
    throw new IllegalStateException("skeleton" + offsetBytes + lengthBytes + zeroing);
  }

  /// NBD_CMD_FLUSH.
  public CompletableFuture<Void> flush() {
    throw new IllegalStateException("skeleton");
  }

  /// NBD_CMD_BLOCK_STATUS, all negotiated contexts.
  public CompletableFuture<List<ContextExtents>> blockStatus(long offsetBytes, long lengthBytes) {
    throw new IllegalStateException("skeleton" + offsetBytes + lengthBytes);
  }

  /// Sends NBD_CMD_DISC behind what is in flight, waits for those replies, closes. Idempotent.
  @Override
  public void close() {}

  /// One line of NBD_OPT_LIST.
  public record ListedExport(String name, String description) {}
}
