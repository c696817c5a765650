// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// A backup program that reads all of an export and notes what each block holds.
final class StampReader {
  private static final int REQUEST_BYTES = 256 << 10;
  private static final int QUEUE_DEPTH = 8;

  private StampReader() {}

  /// Reads with two connections at once, which must see the same.
  static long[] readTwice(NbdUri uri, int disk) throws IOException, InterruptedException {
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Callable<long[]> pull = () -> read(uri, disk);
      List<long[]> seen = new ArrayList<>();
      for (Future<long[]> reader : threads.invokeAll(List.of(pull, pull))) {
        seen.add(reader.get());
      }
      if (!Arrays.equals(seen.getFirst(), seen.getLast())) {
        throw new AssertionError(
            uri + ": two readers saw different blocks: " + difference(seen.get(0), seen.get(1)));
      }
      return seen.getFirst();
    } catch (ExecutionException e) {
      throw new IOException(uri + ": " + e.getCause(), e);
    }
  }

  /// The first few blocks that differ.
  static List<String> difference(long[] one, long[] other) {
    List<String> blocks = new ArrayList<>();
    for (int i = 0; i < one.length && blocks.size() < 10; i++) {
      if (one[i] != other[i]) {
        blocks.add("block " + i + ": " + one[i] + ", " + other[i]);
      }
    }
    return blocks;
  }

  /// What each block of an image holds.
  static long[] ofFile(Path image, int disk) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image));
    long[] contents = new long[bytes.capacity() / Stamp.BLOCK_BYTES];
    for (int i = 0; i < contents.length; i++) {
      contents[i] = Stamp.read(bytes, i * Stamp.BLOCK_BYTES, disk, i);
    }
    return contents;
  }

  static long[] read(NbdUri uri, int disk) throws IOException {
    try (NbdClient client = NbdClient.connect(uri, List.of())) {
      int blockCount = Math.toIntExact(client.info().sizeBytes() / Stamp.BLOCK_BYTES);
      long[] contents = new long[blockCount];
      Deque<Piece> pieces = new ArrayDeque<>();
      int blocksPerPiece = REQUEST_BYTES / Stamp.BLOCK_BYTES;
      ByteBuffer spare = ByteBuffer.allocateDirect(REQUEST_BYTES);
      for (int first = 0; first < blockCount; first += blocksPerPiece) {
        int count = Math.min(blocksPerPiece, blockCount - first);
        if (pieces.size() == QUEUE_DEPTH) {
          spare = pieces.remove().into(contents, disk);
        }
        ByteBuffer target = spare.clear().limit(count * Stamp.BLOCK_BYTES);
        pieces.add(new Piece(first, target, client.read((long) first * Stamp.BLOCK_BYTES, target)));
        spare = ByteBuffer.allocateDirect(pieces.size() < QUEUE_DEPTH ? REQUEST_BYTES : 0);
      }
      while (!pieces.isEmpty()) {
        ByteBuffer _ = pieces.remove().into(contents, disk);
      }
      return contents;
    }
  }

  private record Piece(int firstBlock, ByteBuffer target, CompletableFuture<Void> answer) {
    ByteBuffer into(long[] contents, int disk) throws IOException {
      Images.await(answer);
      for (int i = 0; i < target.limit() / Stamp.BLOCK_BYTES; i++) {
        contents[firstBlock + i] = Stamp.read(target, i * Stamp.BLOCK_BYTES, disk, firstBlock + i);
      }
      return target;
    }
  }
}
