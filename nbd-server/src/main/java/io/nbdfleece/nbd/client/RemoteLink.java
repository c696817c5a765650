// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The connections to one export: spreads requests over them, makes them again when they break, and
/// keeps what must wait meanwhile.
///
/// ```
///             last connection lost            reconnectDelay over
///   ┌─▶ UP ───────────────────────▶ WAITING ─────────────────────▶ FAILING
///   │    ▲        delay of zero ──────────────────────────────────▶ │ │
///   │    └──────────── connected ──────┴────────────────────────────┘ │
///   │  connected, but to something else: DEAD          close(): CLOSED
/// ```
///
/// Thread-safe. The lock guards the state; no request is sent or completed under it.
final class RemoteLink {
  /*
   * Requests take a connection out of `live`, an array that is replaced, never changed, so the way
   * of a request has no lock. Only a request that finds no connection takes it, and looks again.
   *
   * One attempt to connect runs at a time, on a thread of its own, because connecting waits.
   * Whoever sees that connections are missing asks for the next attempt; it starts at once when the
   * connection lost was of use, else after a pause that doubles.
   *
   * A connection is taken out of `live` before its requests are sent again, so a request never
   * meets the same broken connection twice.
   */
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.client");

  /// A request that was on so many broken connections may well be what breaks them: it has no more
  /// than the reconnect delay.
  private static final int SENDS_MAX = 5;

  private enum State {
    UP,
    WAITING,
    FAILING,
    DEAD,
    CLOSED
  }

  private final NbdUri uri;
  private final RemoteOptions options;
  private final ClientOptions clientOptions;
  private final NbdClient first;
  private final EventLoop timers;
  private final int connectionsWanted;
  private final @Nullable Future<?> deadlineTicks;
  private volatile RemoteConnection[] live = {};
  private volatile boolean unflushed;
  private final Object lock = new Object();

  @GuardedBy("lock")
  private State state = State.WAITING;

  @GuardedBy("lock")
  private final Queue<RemoteRequest<?>> waiting = new ArrayDeque<>();

  /// Why requests fail, when they do.
  @GuardedBy("lock")
  private String trouble = "";

  @GuardedBy("lock")
  private Instant downSince = Instant.EPOCH;

  /// Counts the times that the server went away, so that a timer of an earlier one does nothing.
  @GuardedBy("lock")
  private long downCount;

  /// An attempt is under way.
  @GuardedBy("lock")
  private boolean connecting;

  /// The next attempt, while it has not begun, and when it will ([System#nanoTime]).
  @GuardedBy("lock")
  private @Nullable Future<?> scheduled;

  @GuardedBy("lock")
  private long scheduledNanos;

  /// Counts the attempts scheduled, so that one that was replaced does nothing.
  @GuardedBy("lock")
  private long attemptCount;

  @GuardedBy("lock")
  private @Nullable Thread connector;

  @GuardedBy("lock")
  private final ReconnectPause pause = new ReconnectPause();

  private RemoteLink(
      NbdUri uri, RemoteOptions options, ClientOptions clientOptions, NbdClient first) {
    this.uri = uri;
    this.options = options;
    this.clientOptions = clientOptions;
    this.first = first;
    this.timers = clientOptions.loop().orElseGet(NbdClientLoop::shared).group().next();
    this.connectionsWanted = first.info().can(Ability.MULTI_CONN) ? options.connectionsMax() : 1;
    long deadlineNanos = options.requestDeadline().toNanos();
    long tickNanos = Math.clamp(deadlineNanos / 4, 10_000_000L, 1_000_000_000L);
    this.deadlineTicks =
        deadlineNanos == 0
            ? null
            : timers.scheduleWithFixedDelay(
                () -> breakSilent(deadlineNanos), tickNanos, tickNanos, TimeUnit.NANOSECONDS);
  }

  /// Begins with one connection, and makes the others in the background.
  static RemoteLink start(
      NbdUri uri, RemoteOptions options, ClientOptions clientOptions, NbdClient first) {
    RemoteLink link = new RemoteLink(uri, options, clientOptions, first);
    link.connected(first);
    return link;
  }

  NegotiatedExport expected() {
    return first.negotiated();
  }

  int connectionCount() {
    return live.length;
  }

  /// A request that changed something has succeeded.
  void changeAcknowledged() {
    if (!unflushed) {
      unflushed = true;
    }
  }

  /// All that was acknowledged is about to be made durable.
  void flushBegins() {
    unflushed = false;
  }

  /// Sends a request, now or when there is a connection again. It ends on an event loop, or here.
  void submit(RemoteRequest<?> request) {
    RemoteConnection connection = leastBusy();
    if (connection == null) {
      submitWithout(request);
    } else {
      send(connection, request);
    }
  }

  private void submitWithout(RemoteRequest<?> request) {
    RemoteConnection connection;
    IOException refusal;
    synchronized (lock) {
      connection = leastBusy(); // one may have come meanwhile
      if (connection == null && state == State.WAITING) {
        waiting.add(request);
        return;
      }
      refusal = refusal();
    }
    if (connection == null) {
      request.failed(refusal);
    } else {
      send(connection, request);
    }
  }

  private @Nullable RemoteConnection leastBusy() {
    RemoteConnection[] connections = live;
    RemoteConnection best = null;
    int least = Integer.MAX_VALUE;
    for (RemoteConnection connection : connections) {
      int inFlight = connection.inFlight();
      if (inFlight < least) {
        least = inFlight;
        best = connection;
      }
    }
    return best;
  }

  private <T> void send(RemoteConnection connection, RemoteRequest<T> request) {
    connection.began();
    var _ =
        request
            .send(connection.client())
            .whenComplete(
                (answer, error) -> {
                  connection.ended();
                  if (error == null) {
                    connection.answered();
                    request.answered(answer);
                  } else {
                    failed(connection, request, error);
                  }
                });
  }

  private void failed(RemoteConnection connection, RemoteRequest<?> request, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    if (cause instanceof NbdException answer && answer.error() != NbdError.ESHUTDOWN) {
      connection.answered();
      request.failed(answer);
      return;
    }
    if (!(cause instanceof IOException broken)) {
      request.failed(new IOException(uri + ": " + cause, cause));
      return;
    }
    // Also when the server says that it is shutting down: it did nothing and will be gone soon.
    lost(connection, broken);
    if (request.brokeAgain(SENDS_MAX, options.reconnectDelay())) {
      request.failed(
          new IOException(
              "%s: given up, %d connections broke with this request in flight; the last: %s"
                  .formatted(uri, request.sendCount(), broken.getMessage()),
              broken));
    } else {
      submit(request);
    }
  }

  private void lost(RemoteConnection connection, IOException cause) {
    boolean down;
    synchronized (lock) {
      RemoteConnection[] others =
          Arrays.stream(live).filter(one -> one != connection).toArray(RemoteConnection[]::new);
      if (others.length == live.length) {
        return;
      }
      live = others;
      pause.lost(connection.wasGood(), others.length);
      down = others.length == 0 && state == State.UP;
      if (down) {
        trouble = withoutUri(cause);
        downSince = Instant.now().truncatedTo(ChronoUnit.SECONDS);
        downCount++;
        boolean wait = !options.reconnectDelay().isZero();
        state = wait ? State.WAITING : State.FAILING;
        if (wait) {
          long number = downCount;
          var _ = after(options.reconnectDelay().toNanos(), () -> giveUpWaiting(number));
        }
      }
      connectAfter(pause.nanos());
    }
    connection.client().disconnect();
    if (down) {
      LOG.log(
          Level.WARNING,
          "connection lost: {0}{1}",
          cause.getMessage(),
          unflushed
              ? "; writes acknowledged since the last flush are lost if the server lost its memory"
              : "");
    }
  }

  private void giveUpWaiting(long number) {
    List<RemoteRequest<?>> given;
    IOException refusal;
    synchronized (lock) {
      if (state != State.WAITING || downCount != number) {
        return;
      }
      state = State.FAILING;
      given = takeWaiting();
      refusal = refusal();
    }
    LOG.log(Level.WARNING, "{0}; requests fail until it is back", refusal.getMessage());
    failAll(given, refusal);
  }

  private static void failAll(List<RemoteRequest<?>> requests, IOException cause) {
    for (RemoteRequest<?> request : requests) {
      request.failed(new IOException(cause.getMessage(), cause));
    }
  }

  @GuardedBy("lock")
  private List<RemoteRequest<?>> takeWaiting() {
    List<RemoteRequest<?>> taken = new ArrayList<>(waiting);
    waiting.clear();
    return taken;
  }

  @GuardedBy("lock")
  private IOException refusal() {
    return new IOException(
        switch (state) {
          case UP, WAITING, FAILING ->
              uri + ": not reachable since " + downSince + "; the last failure: " + trouble;
          case DEAD -> trouble;
          case CLOSED -> uri + ": the client was closed";
        });
  }

  /// Sees to it that the next attempt is made if one is needed, after the delay at the latest: the
  /// one that is scheduled may belong to a time when there was no hurry.
  @GuardedBy("lock")
  private void connectAfter(long delayNanos) {
    boolean wanted =
        switch (state) {
          case UP, WAITING, FAILING -> live.length < connectionsWanted;
          case DEAD, CLOSED -> false;
        };
    long dueNanos = System.nanoTime() + delayNanos;
    Future<?> later = scheduled;
    if (!wanted || connecting || (later != null && scheduledNanos - dueNanos <= 0)) {
      return;
    }
    if (later != null) {
      later.cancel(false);
    }
    long number = ++attemptCount;
    scheduled = after(delayNanos, () -> connect(number));
    scheduledNanos = dueNanos;
  }

  /// Null if the loop was closed.
  @GuardedBy("lock")
  private @Nullable Future<?> after(long delayNanos, Runnable task) {
    try {
      return timers.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException e) {
      state = State.DEAD;
      trouble = uri + ": the client's event loop was closed";
      return null;
    }
  }

  private void connect(long number) {
    Thread starting = null;
    synchronized (lock) {
      if (number == attemptCount && state != State.DEAD && state != State.CLOSED) {
        scheduled = null;
        connecting = true;
        // Not a virtual thread: those wait for each other's native calls, on a hanging disk too.
        connector =
            Thread.ofPlatform().daemon().name("nbd-connect " + uri).unstarted(this::tryToConnect);
        starting = connector;
      }
    }
    try {
      if (starting != null) {
        starting.start();
      }
    } catch (OutOfMemoryError noThread) {
      notConnected(String.valueOf(noThread.getMessage()));
    }
  }

  private void tryToConnect() {
    try {
      NbdClient client = NbdClient.connect(uri, clientOptions);
      connected(client);
    } catch (IOException | RuntimeException | Error e) { // else no attempt would follow
      LOG.log(Level.DEBUG, "no connection: {0}", e.getMessage());
      notConnected(withoutUri(e));
    }
  }

  private String withoutUri(Throwable cause) {
    String message = String.valueOf(cause.getMessage());
    String prefix = uri + ": ";
    return message.startsWith(prefix) ? message.substring(prefix.length()) : message;
  }

  private void notConnected(String why) {
    List<RemoteRequest<?>> given = List.of();
    IOException refusal;
    synchronized (lock) {
      connecting = false;
      connector = null;
      pause.refused(live.length);
      if (live.length == 0 && state != State.DEAD) {
        trouble = why;
      }
      connectAfter(pause.nanos());
      if (state == State.DEAD) { // the loop was closed
        given = takeWaiting();
      }
      refusal = refusal();
    }
    failAll(given, refusal);
  }

  private void connected(NbdClient client) {
    RemoteConnection connection = new RemoteConnection(client);
    RemoteConnection[] dropped = {};
    String difference = RemoteIdentity.difference(first, client);
    List<RemoteRequest<?>> resumed;
    State now;
    boolean back;
    synchronized (lock) {
      connecting = false;
      connector = null;
      back = state != State.UP && downCount > 0;
      if (state != State.DEAD && state != State.CLOSED) {
        if (difference.isEmpty()) {
          RemoteConnection[] more = Arrays.copyOf(live, live.length + 1);
          more[live.length] = connection;
          live = more;
          state = State.UP;
        } else {
          state = State.DEAD;
          trouble = uri + ": the server came back with " + difference + "; not used any more";
          dropped = live;
          live = new RemoteConnection[0];
        }
      }
      now = state;
      resumed = takeWaiting();
      pause.connected();
      connectAfter(pause.nanos());
    }
    switch (now) {
      case UP, WAITING, FAILING -> {
        client.whenClosed(cause -> lost(connection, cause));
        if (back) {
          LOG.log(Level.INFO, "{0}: connected again", uri);
        }
        resumed.forEach(this::submit);
      }
      case DEAD -> {
        client.abort();
        for (RemoteConnection other : dropped) {
          other.client().abort();
        }
        LOG.log(Level.ERROR, "{0}: the server came back with {1}", uri, difference);
        resumed.forEach(this::submit);
      }
      case CLOSED -> client.close();
    }
  }

  private void breakSilent(long deadlineNanos) {
    for (RemoteConnection connection : live) {
      connection.client().breakIfUnanswered(deadlineNanos);
    }
  }

  /// Waits for what is in flight, at most 10 s.
  void close() {
    List<RemoteRequest<?>> given;
    IOException refusal;
    RemoteConnection[] connections;
    synchronized (lock) {
      if (state == State.CLOSED) {
        return;
      }
      state = State.CLOSED;
      connections = live;
      live = new RemoteConnection[0];
      given = takeWaiting();
      refusal = refusal();
      if (connector != null) {
        connector.interrupt();
      }
      if (scheduled != null) {
        scheduled.cancel(false);
      }
    }
    if (deadlineTicks != null) {
      deadlineTicks.cancel(false);
    }
    failAll(given, refusal);
    for (RemoteConnection connection : connections) {
      connection.client().disconnect();
    }
    for (RemoteConnection connection : connections) {
      connection.client().close();
    }
  }
}
