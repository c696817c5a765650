// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.warmup;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/// What guests and backups do: small and large requests, one at a time and many. One thread.
final class GuestLoad {
  private static final int PAGE_BYTES = 4 << 10;
  private static final int CLUSTER_BYTES = 64 << 10;
  private static final int LARGE_BYTES = 1 << 20;

  private final NbdUri uri;
  private final SplittableRandom random = new SplittableRandom(2);
  private final Deque<CompletableFuture<Void>> inFlight = new ArrayDeque<>();

  GuestLoad(NbdUri uri) {
    this.uri = uri;
  }

  /// Reads of all sizes; of what can be written writes, too, and a few of everything else.
  void run() throws IOException {
    try (NbdClient client = NbdClient.connect(uri, List.of("base:allocation"))) {
      if (client.info().can(ExportInfo.Ability.WRITE)) {
        writes(client, 1, PAGE_BYTES, 3_000);
        writes(client, 32, PAGE_BYTES, 20_000);
        writes(client, 16, CLUSTER_BYTES, 3_000);
        writes(client, 4, LARGE_BYTES, 200);
        for (int i = 0; i < 100; i++) {
          long at = offset(client, CLUSTER_BYTES);
          await(client.trim(at, CLUSTER_BYTES));
          await(client.writeZeroes(at, PAGE_BYTES, Export.Zeroing.MAY_PUNCH));
        }
        await(client.flush());
      }
      for (int i = 0; i < 100; i++) {
        await(client.blockStatus(0, client.info().sizeBytes()));
      }
      reads(client, 1, PAGE_BYTES, 2_000);
      reads(client, 32, PAGE_BYTES, 10_000);
      reads(client, 16, 4 * CLUSTER_BYTES, 8_000);
    }
  }

  private void writes(NbdClient client, int depth, int bytes, int count) throws IOException {
    ByteBuffer data = ByteBuffer.allocateDirect(bytes);
    for (int i = 0; i < bytes; i++) {
      data.put(i, (byte) i);
    }
    for (int i = 0; i < count; i++) {
      begin(depth, client.write(offset(client, bytes), data, Export.Durability.CACHED));
    }
    awaitAll();
  }

  private void reads(NbdClient client, int depth, int bytes, int count) throws IOException {
    Deque<ByteBuffer> buffers = new ArrayDeque<>();
    for (int i = 0; i < depth; i++) {
      buffers.add(ByteBuffer.allocateDirect(bytes));
    }
    for (int i = 0; i < count; i++) {
      // The buffer that comes next is the one of the oldest request, which is awaited first.
      if (inFlight.size() == depth) {
        await(inFlight.remove());
      }
      ByteBuffer buffer = buffers.remove();
      inFlight.add(client.read(offset(client, bytes), buffer));
      buffers.add(buffer);
    }
    awaitAll();
  }

  private void begin(int depth, CompletableFuture<Void> request) throws IOException {
    inFlight.add(request);
    if (inFlight.size() == depth) {
      await(inFlight.remove());
    }
  }

  private long offset(NbdClient client, int bytes) {
    return random.nextLong(client.info().sizeBytes() / bytes) * bytes;
  }

  private void awaitAll() throws IOException {
    while (!inFlight.isEmpty()) {
      await(inFlight.remove());
    }
  }

  private static <T> void await(CompletableFuture<T> future) throws IOException {
    try {
      var _ = future.get();
    } catch (ExecutionException e) {
      throw new IOException("warm-up: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }
}
