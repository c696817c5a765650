// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
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

  /// Pieces that wait for earlier ones, in a sequential target: zeroes take no buffer.
  private static final int WAITING_MAX = 4096;

  private static final long TICK_NANOS = 100_000_000;
  private static final long RETRY_NANOS = 250_000_000;

  private final PullConnections connections;
  private final PullTarget target;
  private final Progress progress;
  private final String label;
  private final long startNanos;
  private final long sizeBytes;
  private final long reconnectDelayNanos;
  private final int requestBytes;
  private final long resumedBytes;
  private final long unchangedBytes;
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
  // When the outage that lasts began; 0 = none.
  private long brokenSinceNanos;

  PullLoop(
      PullConnections connections,
      PullTarget target,
      Progress progress,
      String label,
      long startNanos,
      Duration reconnectDelay) {
    this.connections = connections;
    this.target = target;
    this.progress = progress;
    this.label = label;
    this.startNanos = startNanos;
    this.sizeBytes = connections.info().sizeBytes();
    this.reconnectDelayNanos = reconnectDelay.toNanos();
    this.requestBytes = connections.requestBytes(REQUEST_BYTES);
    this.resumedBytes = target.done().totalBytes();
    this.plan = new CopyPlan(sizeBytes, target.done());
    this.doneBytes = resumedBytes;
    this.unchangedBytes = target.isDelta() ? resumedBytes : 0;
    this.doneRate = new RateMeter(0, resumedBytes);
    this.dataRate = new RateMeter(0, 0);
    if (!connections.info().metaContexts().contains(ExportInfo.BASE_ALLOCATION)) {
      plan.addAllAsData();
    }
  }

  /// Copies everything, or fails with the first failure. Returns only when no request is in flight
  /// that could still write into a buffer.
  void run() throws IOException {
    int requests = Math.max(REQUESTS_MIN, REQUESTS_PER_CONNECTION * connections.count());
    for (int i = 0; i < requests; i++) {
      freeBuffers.add(ByteBuffer.allocateDirect(requestBytes));
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
        doneBytes - unchangedBytes,
        dataBytes,
        sizeBytes - unchangedBytes,
        elapsedNanos,
        doneRate.bytesPerSecond(),
        dataRate.bytesPerSecond());
  }

  private void askStatus() {
    if (statusInFlight
        || plan.isComplete()
        || plan.pendingCount() >= PIECES_WANTED
        || waitingForTurn.size() >= WAITING_MAX) {
      return;
    }
    long offsetBytes = plan.plannedBytes();
    statusInFlight = true;
    NbdClient client = connections.client(0);
    var _ =
        client
            .blockStatus(offsetBytes, Math.min(STATUS_BYTES_MAX, sizeBytes - offsetBytes))
            .handle(
                (contexts, error) ->
                    events.add(
                        error == null
                            ? new StatusCame(contexts)
                            : new Failed(client, offsetBytes, null, causeOf(error))));
  }

  private void issue() throws IOException {
    while (!freeBuffers.isEmpty()) {
      Optional<CopyPlan.Piece> next = plan.next(requestBytes);
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
    NbdClient client = connections.client(nextClient);
    var _ =
        client
            .read(piece.offsetBytes(), buffer)
            .handle(
                (nothing, error) ->
                    events.add(
                        error == null
                            ? new DataCame(piece, buffer)
                            : new Failed(
                                client,
                                piece.offsetBytes(),
                                new Ready(piece, buffer),
                                causeOf(error))));
  }

  private @Nullable Event nextEvent() throws IOException {
    if (readsInFlight == 0 && !statusInFlight) {
      // Only zeroes were left; the loop goes round again.
      return events.poll();
    }
    return await(TICK_NANOS);
  }

  private @Nullable Event await(long nanos) throws IOException {
    try {
      return events.poll(nanos, TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private void handle(Event event) throws IOException {
    switch (event) {
      case DataCame(CopyPlan.Piece piece, ByteBuffer buffer) -> {
        readsInFlight--;
        brokenSinceNanos = 0;
        dataBytes += piece.lengthBytes();
        buffer.position(0).limit((int) piece.lengthBytes());
        arrived(new Ready(piece, buffer));
      }
      case StatusCame(List<ContextExtents> contexts) -> {
        statusInFlight = false;
        brokenSinceNanos = 0;
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
        if (failed.unread() == null && target.isDelta() && !isConnectionLost(failed.error())) {
          // QEMU does not tell the status of an incremental export where nothing has changed.
          plan.addAllAsData();
          return;
        }
        PieceFailure failure = new PieceFailure(failed.offsetBytes(), failed.error());
        if (reconnectDelayNanos == 0 || !isConnectionLost(failed.error())) {
          throw failure;
        }
        Ready unread = failed.unread();
        if (unread != null) {
          plan.giveBack(unread.piece());
          freeBuffers.add(Objects.requireNonNull(unread.buffer()));
        }
        reconnect(failed.client(), failure);
      }
    }
  }

  /// A server that answers with an error is there, unless it says that it is about to go.
  private static boolean isConnectionLost(IOException error) {
    return !(error instanceof NbdException refused) || refused.error() == NbdError.ESHUTDOWN;
  }

  /// Connects again, for as long as the delay lets it. Connections that come and break without a
  /// reply in between count as one outage.
  private void reconnect(NbdClient broken, PieceFailure failure) throws IOException {
    if (brokenSinceNanos == 0) {
      brokenSinceNanos = System.nanoTime();
    }
    Optional<CommandFailure> last = Optional.empty();
    while (true) {
      if (System.nanoTime() - brokenSinceNanos >= reconnectDelayNanos) {
        last.ifPresent(failure::addSuppressed);
        throw failure;
      }
      try {
        connections.replace(broken);
        return;
      } catch (CommandFailure e) {
        if (e.code() != ExitCode.UNREACHABLE) {
          throw e;
        }
        last = Optional.of(e);
      }
      pause();
      progress.update(state());
    }
  }

  /// Between two attempts. Lets what other requests have to say come in, which is for later.
  private void pause() throws IOException {
    long endNanos = System.nanoTime() + RETRY_NANOS;
    List<Event> late = new ArrayList<>();
    for (long leftNanos = RETRY_NANOS; leftNanos > 0; leftNanos = endNanos - System.nanoTime()) {
      Event event = await(leftNanos);
      if (event != null) {
        late.add(event);
      }
    }
    events.addAll(late);
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
        if (failed.unread() == null) {
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

  /// What the connections tell; nothing unread in a failure = it was a block status.
  private sealed interface Event {}

  private record DataCame(CopyPlan.Piece piece, ByteBuffer buffer) implements Event {}

  private record StatusCame(List<ContextExtents> contexts) implements Event {}

  private record Failed(
      NbdClient client, long offsetBytes, @Nullable Ready unread, IOException error)
      implements Event {}
}
