// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// A guest that never stops writing: 4 KiB at random places, eight at once, over NBD. It has one
/// thread; [#stop] and the figures are for any.
final class GuestWriter {
  static final int QUEUE_DEPTH = 8;

  private final DemoContent content;
  private final WriteJournal journal;
  private final NbdClient client;
  private final SplittableRandom random;
  private final BlockingQueue<Slot> finished = new LinkedBlockingQueue<>();
  private final AtomicReference<LatencyHistogram> latency =
      new AtomicReference<>(new LatencyHistogram());
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final Thread thread;
  private volatile boolean stopped;

  private GuestWriter(DemoContent content, WriteJournal journal, NbdClient client) {
    this.content = content;
    this.journal = journal;
    this.client = client;
    this.random = new SplittableRandom(content.seed());
    this.thread = Thread.ofPlatform().name("guest").unstarted(this::write);
  }

  static GuestWriter start(DemoContent content, WriteJournal journal, NbdUri disk)
      throws IOException {
    GuestWriter guest = new GuestWriter(content, journal, NbdClient.connect(disk, List.of()));
    guest.thread.start();
    return guest;
  }

  /// From here on latencies go to a new histogram; returns the one so far.
  LatencyHistogram newPhase() {
    return latency.getAndSet(new LatencyHistogram());
  }

  /// The present phase.
  LatencyHistogram latency() {
    return latency.get();
  }

  /// Fails when a write has failed: no guest write ever may.
  void check() throws IOException {
    Throwable error = failure.get();
    if (error != null) {
      throw new IOException("a guest write failed: " + error.getMessage(), error);
    }
  }

  /// Ends; after the return no write is in flight.
  void stop() throws IOException {
    stopped = true;
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private void write() {
    try {
      for (int i = 0; i < QUEUE_DEPTH; i++) {
        finished.add(new Slot());
      }
      BitSet busy = new BitSet(content.blockCount());
      int write = DemoContent.BASE;
      int inFlight = 0;
      while (!stopped && failure.get() == null) {
        Slot slot = finished.take();
        if (slot.entry != null) {
          busy.clear(slot.entry.block);
          inFlight--;
        }
        int block = freeBlock(busy);
        busy.set(block);
        inFlight++;
        send(slot, block, ++write);
      }
      while (inFlight > 0) {
        Slot last = finished.take();
        inFlight -= last.entry == null ? 0 : 1;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      client.close();
    }
  }

  private int freeBlock(BitSet busy) {
    int block;
    do {
      block = content.guestBlock(random.nextInt(content.guestBlockCount()));
    } while (busy.get(block));
    return block;
  }

  private void send(Slot slot, int block, int write) {
    slot.buffer.clear();
    content.fill(block, write, slot.buffer);
    WriteJournal.Entry entry = journal.started(block, write);
    slot.entry = entry;
    long offsetBytes = (long) block * DemoContent.BLOCK_BYTES;
    var _ =
        client
            .write(offsetBytes, slot.buffer, Export.Durability.CACHED)
            .handle(
                (nothing, error) -> {
                  if (error == null) {
                    journal.acknowledged(entry);
                    latency.get().record(entry.acknowledgedNanos() - entry.startedNanos);
                  } else {
                    failure.compareAndSet(null, error);
                  }
                  return finished.add(slot);
                });
  }

  /// One request's buffer; `entry` is the write that used it last.
  private static final class Slot {
    final ByteBuffer buffer = ByteBuffer.allocateDirect(DemoContent.BLOCK_BYTES);
    WriteJournal.@Nullable Entry entry;
  }
}
