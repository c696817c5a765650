// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The copying: one thread asks for block status, issues reads, and writes what has arrived.
///
/// Memory is bounded by the buffers: a read is issued only when one is free. Buffers go out in
/// order of offset, so for a sequential target the lowest piece not yet written always has one, and
/// pieces that wait for their turn cannot starve it.
final class PullLoop {
  private static final int REQUEST_BYTES = 1 << 20;
  private static final int REQUESTS_PER_CONNECTION = 8;
  private static final int REQUESTS_MIN = 16;
  // Largest stretch asked about at once: below the 4 GiB of the field, and a multiple of any block.
  private static final long STATUS_BYTES_MAX = 2L << 30;
  // With so many pieces at hand, asking for more can wait.
  private static final int PIECES_WANTED = 64;
  private static final long TICK_MILLIS = 100;

  private final PullConnections connections;
  private final PullTarget target;
  private final Progress progress;
  private final String label;
  private final long startNanos;
  private final long sizeBytes;
  private final CopyPlan plan;
  private final RateMeter doneRate;
  private final RateMeter dataRate;
  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final Deque<ByteBuffer> freeBuffers = new ArrayDeque<>();
  private final TreeMap<Long, Ready> waitingForTurn = new TreeMap<>();
  private int readsInFlight;
  private boolean statusInFlight;
  private int nextClient;
  private long doneBytes;
  private long dataBytes;

  PullLoop(
      PullConnections connections,
      PullTarget target,
      Progress progress,
      String label,
      long startNanos) {
    this.connections = connections;
    this.target = target;
    this.progress = progress;
    this.label = label;
    this.startNanos = startNanos;
    this.sizeBytes = connections.info().sizeBytes();
    this.plan = new CopyPlan(sizeBytes);
    this.doneRate = new RateMeter(0);
    this.dataRate = new RateMeter(0);
    if (!connections.info().metaContexts().contains(ExportInfo.BASE_ALLOCATION)) {
      plan.addAllAsData();
    }
  }

  /// Copies everything, or fails with the first failure. Returns only when no request is in flight
  /// that could still write into a buffer.
  void run() throws IOException {
    int requests = Math.max(REQUESTS_MIN, REQUESTS_PER_CONNECTION * connections.count());
    for (int i = 0; i < requests; i++) {
      freeBuffers.add(ByteBuffer.allocateDirect(REQUEST_BYTES));
    }
    try {
      while (doneBytes < sizeBytes) {
        askStatus();
        issue();
        Event event = nextEvent();
        if (event != null) {
          handle(event);
        }
        progress.update(state());
      }
    } catch (IOException e) {
      drain();
      throw e;
    }
  }

  PullState state() {
    long elapsedNanos = System.nanoTime() - startNanos;
    doneRate.note(elapsedNanos, doneBytes);
    dataRate.note(elapsedNanos, dataBytes);
    return new PullState(
        label,
        doneBytes,
        dataBytes,
        sizeBytes,
        elapsedNanos,
        doneRate.bytesPerSecond(),
        dataRate.bytesPerSecond());
  }

  private void askStatus() {
    if (statusInFlight || plan.isComplete() || plan.pendingCount() >= PIECES_WANTED) {
      return;
    }
    long offsetBytes = plan.plannedBytes();
    statusInFlight = true;
    var _ =
        connections
            .client(0)
            .blockStatus(offsetBytes, Math.min(STATUS_BYTES_MAX, sizeBytes - offsetBytes))
            .handle(
                (contexts, error) ->
                    events.add(
                        error == null
                            ? new StatusCame(contexts)
                            : new Failed(offsetBytes, null, causeOf(error))));
  }

  private void issue() throws IOException {
    while (!freeBuffers.isEmpty()) {
      Optional<CopyPlan.Piece> next = plan.next(REQUEST_BYTES);
      if (next.isEmpty()) {
        return;
      }
      CopyPlan.Piece piece = next.get();
      if (piece.zero()) {
        arrived(new Ready(piece, null));
      } else {
        read(piece, freeBuffers.remove());
      }
    }
  }

  private void read(CopyPlan.Piece piece, ByteBuffer buffer) {
    buffer.clear().limit((int) piece.lengthBytes());
    nextClient = (nextClient + 1) % connections.count();
    readsInFlight++;
    var _ =
        connections
            .client(nextClient)
            .read(piece.offsetBytes(), buffer)
            .handle(
                (nothing, error) ->
                    events.add(
                        error == null
                            ? new DataCame(piece, buffer)
                            : new Failed(piece.offsetBytes(), buffer, causeOf(error))));
  }

  private @Nullable Event nextEvent() throws IOException {
    if (readsInFlight == 0 && !statusInFlight) {
      // Only zeroes were left; the loop goes round again.
      return events.poll();
    }
    try {
      return events.poll(TICK_MILLIS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private void handle(Event event) throws IOException {
    switch (event) {
      case DataCame(CopyPlan.Piece piece, ByteBuffer buffer) -> {
        readsInFlight--;
        dataBytes += piece.lengthBytes();
        buffer.position(0).limit((int) piece.lengthBytes());
        arrived(new Ready(piece, buffer));
      }
      case StatusCame(List<ContextExtents> contexts) -> {
        statusInFlight = false;
        long before = plan.plannedBytes();
        for (ContextExtents context : contexts) {
          if (context.context().equals(ExportInfo.BASE_ALLOCATION)) {
            plan.add(context.extents());
          }
        }
        if (plan.plannedBytes() == before) {
          throw new PieceFailure(before, new IOException("the server sent no block status"));
        }
      }
      case Failed failed -> {
        finished(failed);
        throw new PieceFailure(failed.offsetBytes(), failed.error());
      }
    }
  }

  private void arrived(Ready ready) throws IOException {
    if (!target.isSequential()) {
      write(ready);
      return;
    }
    waitingForTurn.put(ready.piece().offsetBytes(), ready);
    while (!waitingForTurn.isEmpty() && waitingForTurn.firstKey() == doneBytes) {
      write(waitingForTurn.pollFirstEntry().getValue());
    }
  }

  private void write(Ready ready) throws IOException {
    CopyPlan.Piece piece = ready.piece();
    ByteBuffer buffer = ready.buffer();
    if (buffer == null) {
      target.zeroes(piece.offsetBytes(), piece.lengthBytes());
    } else {
      target.data(piece.offsetBytes(), buffer);
      freeBuffers.add(buffer);
    }
    doneBytes += piece.lengthBytes();
  }

  /// Waits for what is in flight, whose buffers the connections still own.
  private void drain() throws IOException {
    while (readsInFlight > 0 || statusInFlight) {
      Event event = nextEvent();
      if (event != null) {
        finished(event);
      }
    }
  }

  private void finished(Event event) {
    switch (event) {
      case DataCame _ -> readsInFlight--;
      case StatusCame _ -> statusInFlight = false;
      case Failed failed -> {
        if (failed.buffer() == null) {
          statusInFlight = false;
        } else {
          readsInFlight--;
        }
      }
    }
  }

  private static IOException causeOf(Throwable error) {
    Throwable cause =
        error instanceof CompletionException && error.getCause() != null ? error.getCause() : error;
    return cause instanceof IOException io ? io : new IOException(cause.toString(), cause);
  }

  /// A piece that can be written when its turn comes; no buffer = zeroes.
  private record Ready(CopyPlan.Piece piece, @Nullable ByteBuffer buffer) {}

  /// What the connections tell; no buffer in a failure = it was a block status.
  private sealed interface Event {}

  private record DataCame(CopyPlan.Piece piece, ByteBuffer buffer) implements Event {}

  private record StatusCame(List<ContextExtents> contexts) implements Event {}

  private record Failed(long offsetBytes, @Nullable ByteBuffer buffer, IOException error)
      implements Event {}
}
