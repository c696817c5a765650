// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// The threads that do the input and output of [NbdClient]s. Most programs need none: clients that
/// are connected without one share daemon threads, started with the first of them. A program that
/// wants its clients on threads of their own gives each a loop.
public final class NbdClientLoop implements AutoCloseable {
  private static final long CLOSE_SECONDS_MAX = 10;

  private final EventLoopGroup group;

  /// The connections that use the loop. Netty ends a loop without closing its channels when the
  /// order to end comes at the wrong moment, so they are closed here.
  private final Set<Transmission> open = ConcurrentHashMap.newKeySet();

  private NbdClientLoop(String threadName, int threadCount) {
    AtomicInteger threadNumber = new AtomicInteger();
    group =
        new MultiThreadIoEventLoopGroup(
            threadCount,
            task -> {
              Thread thread = new Thread(task, threadName + "-" + threadNumber.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            },
            EpollIoHandler.newFactory());
  }

  /// Starts one daemon thread.
  public static NbdClientLoop start(String threadName) {
    return new NbdClientLoop(threadName, 1);
  }

  static NbdClientLoop shared() {
    return Shared.LOOP;
  }

  EventLoopGroup group() {
    return group;
  }

  void adopt(Transmission transmission) {
    open.add(transmission);
    transmission.whenClosed(() -> open.remove(transmission));
  }

  /// Breaks the connections that still use the loop (their requests fail) and ends the thread.
  /// Close the clients first. Idempotent.
  @Override
  public void close() {
    open.forEach(transmission -> transmission.abort("the client's event loop was closed"));
    open.forEach(Transmission::awaitClosed);
    boolean ended =
        group
            .shutdownGracefully(0, CLOSE_SECONDS_MAX, TimeUnit.SECONDS)
            .awaitUninterruptibly(CLOSE_SECONDS_MAX, TimeUnit.SECONDS);
    if (!ended) {
      throw new IllegalStateException(
          "event loop: still running after "
              + CLOSE_SECONDS_MAX
              + " s (expected: no callback of a future that waits)");
    }
  }

  /// Started on first use, never stopped: its threads are daemons.
  private static final class Shared {
    static final NbdClientLoop LOOP =
        new NbdClientLoop(
            "nbd-client", Math.clamp(Runtime.getRuntime().availableProcessors(), 1, 4));
  }
}
