// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelPromise;
import io.netty.channel.DefaultChannelPromise;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.util.concurrent.AbstractScheduledEventExecutor;
import io.netty.util.concurrent.Future;
import io.netty.util.concurrent.Ticker;
import java.util.ArrayDeque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// An event loop that has its turns when the world says so. As a real one it looks at its sockets
/// first, then runs what is due, then its tasks. While it has no turn its caller is another thread
/// to it, such as a worker that completes a request.
final class SimulatedLoop extends AbstractScheduledEventExecutor implements EventLoop {
  private static final long WAKE_NANOS_MAX = 20_000;

  private final SimulatedWorld world;
  private final Running running;
  private final Ticker clock = new WorldClock();
  private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
  private final Set<SimulatedChannel> ready = new LinkedHashSet<>();
  private boolean turnDue;
  private long timerNanos = Long.MAX_VALUE;

  /// Which loop of a world has its turn.
  static final class Running {
    private @Nullable SimulatedLoop loop;
  }

  SimulatedLoop(SimulatedWorld world, Running running) {
    this.world = world;
    this.running = running;
  }

  /// Something has happened to the socket.
  void ready(SimulatedChannel channel) {
    ready.add(channel);
    wake();
  }

  @Override
  public void execute(Runnable task) {
    tasks.add(task);
    wake();
  }

  private void wake() {
    if (!turnDue && !inEventLoop()) {
      turnDue = true;
      world.later(WAKE_NANOS_MAX, this::turn);
    }
  }

  private void turn() {
    turnDue = false;
    running.loop = this;
    try {
      List<SimulatedChannel> now = List.copyOf(ready);
      ready.clear();
      now.forEach(SimulatedChannel::handle);
      for (Runnable due; (due = pollScheduledTask()) != null; ) {
        due.run();
      }
      for (Runnable task; (task = tasks.poll()) != null; ) {
        task.run();
      }
    } finally {
      running.loop = null;
    }
    if (!ready.isEmpty()) {
      wake();
    }
    setTimer();
  }

  private void setTimer() {
    long deadlineNanos = nextScheduledTaskDeadlineNanos();
    if (deadlineNanos >= 0 && deadlineNanos < timerNanos) {
      timerNanos = deadlineNanos;
      world.after(
          Math.max(0, deadlineNanos - world.nowNanos()),
          () -> {
            timerNanos = Long.MAX_VALUE;
            wake();
          });
    }
  }

  @Override
  @SuppressWarnings("ReferenceEquality") // this very one
  public boolean inEventLoop() {
    return running.loop == this;
  }

  @Override
  public boolean inEventLoop(Thread thread) {
    return inEventLoop();
  }

  @Override
  public Ticker ticker() {
    return clock;
  }

  @Override
  public EventLoopGroup parent() {
    return this;
  }

  @Override
  public EventLoop next() {
    return this;
  }

  @Override
  public ChannelFuture register(Channel channel) {
    return register(new DefaultChannelPromise(channel, this));
  }

  @Override
  public ChannelFuture register(ChannelPromise promise) {
    promise.channel().unsafe().register(this, promise);
    return promise;
  }

  @Override
  @Deprecated
  public ChannelFuture register(Channel channel, ChannelPromise promise) {
    channel.unsafe().register(this, promise);
    return promise;
  }

  @Override
  public Future<?> shutdownGracefully(long quietPeriod, long timeout, TimeUnit unit) {
    throw new UnsupportedOperationException("a simulated loop never ends");
  }

  @Override
  public Future<?> terminationFuture() {
    return newPromise(); // it never ends
  }

  @Override
  @Deprecated
  public void shutdown() {
    throw new UnsupportedOperationException("a simulated loop never ends");
  }

  @Override
  public boolean isShuttingDown() {
    return false;
  }

  @Override
  public boolean isShutdown() {
    return false;
  }

  @Override
  public boolean isTerminated() {
    return false;
  }

  @Override
  public boolean awaitTermination(long timeout, TimeUnit unit) {
    return false;
  }

  private final class WorldClock implements Ticker {
    @Override
    public long initialNanoTime() {
      return 0;
    }

    @Override
    public long nanoTime() {
      return world.nowNanos();
    }

    @Override
    public void sleep(long delay, TimeUnit unit) {
      throw new UnsupportedOperationException("an event loop does not wait");
    }
  }
}
