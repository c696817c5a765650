// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportInfo;
import io.netty.channel.Channel;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/// The threads that connections run on. Those that may only read, backups as a rule, have threads
/// of their own: they are busy as long as there is something to read, and a guest that waits for
/// the end of a write neither waits for their turn nor competes with them inside one thread. The
/// system runs the guests' thread at once, since that one sleeps between two requests, and more so
/// if each kind of thread has said at its start what it needs.
///
/// Every connection begins on a guest's loop, since nobody knows yet what it will open.
/// Thread-safe.
final class EventLoops {
  private final EventLoopGroup guests;
  private final EventLoopGroup readers;

  private EventLoops(EventLoopGroup guests, EventLoopGroup readers) {
    this.guests = guests;
    this.readers = readers;
  }

  /// @param count for guests, and as many for readers; a thread that is never needed is never made
  static EventLoops create(int count, ServerConfig.ThreadStarts starts) {
    IoHandlerFactory factory = RejoiningEpoll.factory();
    return new EventLoops(
        new MultiThreadIoEventLoopGroup(count, threads("nbd-loop", starts.guest()), factory),
        new MultiThreadIoEventLoopGroup(count, threads("nbd-reader", starts.reader()), factory));
  }

  private static ThreadFactory threads(String name, Runnable start) {
    ThreadFactory plain = new DefaultThreadFactory(name);
    return loop ->
        plain.newThread(
            () -> {
              start.run();
              loop.run();
            });
  }

  /// Where connections are accepted and negotiate.
  EventLoopGroup accepting() {
    return guests;
  }

  /// Where a connection belongs that is about to open such an export.
  EventLoop of(Channel channel, ExportInfo info) {
    return info.can(ExportInfo.Ability.WRITE) ? channel.eventLoop() : readers.next();
  }

  /// Whether the calling thread is one of them.
  boolean isOneOfThem() {
    return Stream.of(guests, readers)
        .flatMap(group -> StreamSupport.stream(group.spliterator(), false))
        .anyMatch(loop -> loop.inEventLoop());
  }

  /// Ends all of them. Whether they ended in time.
  boolean close(long eachMillis) throws InterruptedException {
    var guestsEnded = guests.shutdownGracefully(0, eachMillis, TimeUnit.MILLISECONDS);
    var readersEnded = readers.shutdownGracefully(0, eachMillis, TimeUnit.MILLISECONDS);
    long untilNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(2 * eachMillis);
    return guestsEnded.await(2 * eachMillis)
        && readersEnded.await(untilNanos - System.nanoTime(), TimeUnit.NANOSECONDS);
  }
}
