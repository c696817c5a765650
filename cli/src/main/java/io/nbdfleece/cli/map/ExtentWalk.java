// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.map;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.ExecutionException;

/// Asks for the status of a whole export and hands it on in order of offset, neighbours of one type
/// as one. Keeps one extent, however many there are. Used by one thread.
public final class ExtentWalk {
  // Below the 4 GiB that fit in a request without extended headers, and a multiple of every block
  // size there is.
  private static final long STEP_BYTES_MAX = (4L << 30) - (64 << 10);

  private final NbdClient client;
  private final String context;
  private final Sink sink;
  private long startBytes;
  private long endBytes;
  private long type;

  /// @param context one that the client has negotiated
  public ExtentWalk(NbdClient client, String context, Sink sink) {
    this.client = client;
    this.context = context;
    this.sink = sink;
  }

  /// Walks from the first byte to the last.
  public void run() throws IOException {
    long sizeBytes = client.info().sizeBytes();
    long stepBytesMax = client.negotiated().extendedHeaders() ? Long.MAX_VALUE : STEP_BYTES_MAX;
    while (endBytes < sizeBytes) {
      long beforeBytes = endBytes;
      add(status(Math.min(stepBytesMax, sizeBytes - endBytes)), sizeBytes);
      if (endBytes == beforeBytes) {
        throw new CommandFailure(
            ExitCode.FAILED,
            client.uri() + " at offset " + endBytes + ": the server sent no status of " + context);
      }
      sink.flush();
    }
    if (endBytes > startBytes) {
      sink.extent(startBytes, endBytes - startBytes, type);
    }
  }

  private List<Extent> status(long lengthBytes) throws IOException {
    try {
      return client.blockStatus(endBytes, lengthBytes).get().stream()
          .filter(extents -> extents.context().equals(context))
          .flatMap(extents -> extents.extents().stream())
          .toList();
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      throw new CommandFailure(
          ExitCode.FAILED,
          client.uri() + " at offset " + endBytes + ": " + Messages.of(cause),
          cause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private void add(List<Extent> extents, long sizeBytes) throws IOException {
    for (Extent extent : extents) {
      // The last extent may say more than was asked.
      long lengthBytes = Math.min(extent.lengthBytes(), sizeBytes - endBytes);
      if (lengthBytes == 0) {
        return;
      }
      if (extent.flags() != type && endBytes > startBytes) {
        sink.extent(startBytes, endBytes - startBytes, type);
        startBytes = endBytes;
      }
      type = extent.flags();
      endBytes += lengthBytes;
    }
  }

  /// Takes the extents.
  public interface Sink {
    /// The next one.
    ///
    /// @param type what the context says, an unsigned number
    void extent(long offsetBytes, long lengthBytes, long type) throws IOException;

    /// More will come only after another answer of the server.
    default void flush() throws IOException {}
  }
}
