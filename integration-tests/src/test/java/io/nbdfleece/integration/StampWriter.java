// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.client.NbdClient;
import java.nio.ByteBuffer;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/// A guest that keeps many requests in flight on one connection: stamped writes, TRIM,
/// WRITE_ZEROES, FLUSH, of 1 to 16 blocks at random places, and records each. Its own requests
/// overlap one another, and those of other writers of the disk. [#run] belongs to one thread.
final class StampWriter implements Runnable {
  private static final int QUEUE_DEPTH = 32;
  private static final int BLOCKS_MAX = 16;

  private final NbdClient client;
  private final int disk;
  private final int blockCount;
  private final Random random;
  private final AtomicLong numbers;
  private final AtomicBoolean stop;
  private final Queue<WriteRecord> records = new ConcurrentLinkedQueue<>();
  private final Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
  private final BlockingQueue<ByteBuffer> free = new ArrayBlockingQueue<>(QUEUE_DEPTH);

  /// @param numbers shared by all writers
  StampWriter(NbdClient client, int disk, long seed, AtomicLong numbers, AtomicBoolean stop) {
    this.client = client;
    this.disk = disk;
    this.numbers = numbers;
    this.stop = stop;
    blockCount = Math.toIntExact(client.info().sizeBytes() / Stamp.BLOCK_BYTES);
    random = new Random(seed);
    for (int i = 0; i < QUEUE_DEPTH; i++) {
      free.add(ByteBuffer.allocateDirect(BLOCKS_MAX * Stamp.BLOCK_BYTES));
    }
  }

  /// Writes until told to stop, then until the last answer has come.
  @Override
  public void run() {
    try {
      while (!stop.get() && failures.isEmpty()) {
        request(free.take());
      }
      for (int i = 0; i < QUEUE_DEPTH; i++) {
        ByteBuffer _ = free.take();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      failures.add(e);
    }
  }

  /// The writes answered so far.
  Queue<WriteRecord> records() {
    return records;
  }

  /// Requests that the server refused, or a broken connection: there must be none.
  Queue<Throwable> failures() {
    return failures;
  }

  private void request(ByteBuffer buffer) {
    int count = random.nextInt(4) == 0 ? 1 + random.nextInt(BLOCKS_MAX) : 1;
    int first = random.nextInt(blockCount - count + 1);
    int kind = random.nextInt(100);
    if (kind < 2) {
      CompletableFuture<Void> _ =
          client.flush().whenComplete((_, failure) -> answered(buffer, failure));
      return;
    }
    long number = numbers.incrementAndGet();
    long offsetBytes = (long) first * Stamp.BLOCK_BYTES;
    int lengthBytes = count * Stamp.BLOCK_BYTES;
    boolean zeroes = kind < 14;
    if (!zeroes) {
      buffer.clear().limit(lengthBytes);
      for (int i = 0; i < count; i++) {
        Stamp.write(buffer, i * Stamp.BLOCK_BYTES, number, disk, first + i);
      }
    }
    long sentNanos = System.nanoTime();
    CompletableFuture<Void> answer =
        kind < 8
            ? client.trim(offsetBytes, lengthBytes)
            : zeroes
                ? client.writeZeroes(offsetBytes, lengthBytes, zeroing())
                : client.write(offsetBytes, buffer, durability());
    CompletableFuture<Void> _ =
        answer.whenComplete(
            (_, failure) -> {
              records.add(
                  new WriteRecord(
                      number,
                      disk,
                      first,
                      count,
                      zeroes ? WriteRecord.Content.ZEROES : WriteRecord.Content.STAMPS,
                      sentNanos,
                      failure == null ? System.nanoTime() : Long.MAX_VALUE));
              answered(buffer, failure);
            });
  }

  private Export.Zeroing zeroing() {
    return random.nextBoolean() ? Export.Zeroing.MAY_PUNCH : Export.Zeroing.NO_HOLE;
  }

  private Export.Durability durability() {
    return random.nextInt(100) == 0 ? Export.Durability.DURABLE : Export.Durability.CACHED;
  }

  private void answered(ByteBuffer buffer, @Nullable Throwable failure) {
    if (failure != null) {
      failures.add(failure);
    }
    free.add(buffer);
  }
}
