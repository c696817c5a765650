// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import tools.jackson.databind.node.ObjectNode;

/// What one client has yet to read, in order: answers from its own thread, which may wait for room,
/// and events from any thread, which never waits. One more thread writes, in [#writeAll].
final class Outbox implements AutoCloseable {
  private final WritableByteChannel channel;
  private final int unreadBytesMax;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  @GuardedBy("lock")
  private final Deque<ByteBuffer> unwritten = new ArrayDeque<>();

  /// Includes the one that is being written.
  @GuardedBy("lock")
  private long unwrittenBytes;

  @GuardedBy("lock")
  private boolean closed;

  /// Owns the channel.
  Outbox(WritableByteChannel channel, QmpLimits limits) {
    this.channel = channel;
    this.unreadBytesMax = limits.unreadBytesMax();
  }

  /// A message as it goes over the wire.
  static ByteBuffer bytes(ObjectNode message) {
    return ByteBuffer.wrap((Json.line(message) + "\r\n").getBytes(StandardCharsets.UTF_8));
  }

  /// Adds an answer; waits while there is too much before it. Fails when the client is gone.
  void answer(ObjectNode message) throws IOException {
    ByteBuffer bytes = bytes(message);
    lock.lock();
    try {
      while (!closed && unwrittenBytes >= unreadBytesMax) {
        changed.awaitUninterruptibly();
      }
      if (closed) {
        throw new ClosedChannelException();
      }
      add(bytes);
    } finally {
      lock.unlock();
    }
  }

  /// Adds an event, without waiting.
  ///
  /// @return false when the client does not read and was dropped for it
  boolean offer(ByteBuffer event) throws IOException {
    lock.lock();
    try {
      if (closed) {
        return true;
      }
      if (unwrittenBytes + event.remaining() <= unreadBytesMax) {
        add(event.duplicate());
        return true;
      }
    } finally {
      lock.unlock();
    }
    close();
    return false;
  }

  @GuardedBy("lock")
  private void add(ByteBuffer bytes) {
    unwritten.add(bytes);
    unwrittenBytes += bytes.remaining();
    changed.signalAll();
  }

  /// Writes whatever is added, until the client or the outbox is gone.
  void writeAll() throws IOException {
    try (this) {
      while (true) {
        ByteBuffer next = next();
        int bytes = next.remaining();
        while (next.hasRemaining()) {
          channel.write(next);
        }
        written(bytes);
      }
    }
  }

  private ByteBuffer next() throws IOException {
    lock.lock();
    try {
      while (!closed && unwritten.isEmpty()) {
        changed.awaitUninterruptibly();
      }
      if (closed) {
        throw new ClosedChannelException();
      }
      return unwritten.removeFirst();
    } finally {
      lock.unlock();
    }
  }

  private void written(int bytes) {
    lock.lock();
    try {
      unwrittenBytes -= bytes;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /// Waits until all has been written, but no longer than `patience`.
  void flush(Duration patience) {
    long leftNanos = patience.toNanos();
    lock.lock();
    try {
      while (!closed && unwrittenBytes > 0 && leftNanos > 0) {
        leftNanos = changed.awaitNanos(leftNanos);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() throws IOException {
    lock.lock();
    try {
      closed = true;
      unwritten.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    channel.close();
  }
}
