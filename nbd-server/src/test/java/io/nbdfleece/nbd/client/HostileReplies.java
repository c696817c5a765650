// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.DONE;
import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.chunk;
import static io.nbdfleece.nbd.client.ScriptedServer.dataChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.doneChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.errorChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.holeChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.simple;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.SplittableRandom;

/// Replies as the specification allows them: chunks in any order, replies mixed, holes, errors.
final class HostileReplies {
  /// How replies look.
  enum Format {
    SIMPLE,
    STRUCTURED
  }

  /// A request as it came.
  record Request(int command, long cookie, long offset, long length) {}

  private static final int BLOCK_BYTES = 512;

  private final SplittableRandom random;
  private final Format format;
  private final Collection<Integer> contextIds;

  HostileReplies(SplittableRandom random, Format format, Collection<Integer> contextIds) {
    this.random = random;
    this.format = format;
    this.contextIds = contextIds;
  }

  private static boolean isHole(long offset) {
    return (offset / BLOCK_BYTES & 3) == 0;
  }

  /// The byte of the export at that place.
  static byte content(long offset) {
    return isHole(offset) ? 0 : (byte) (offset ^ offset >>> 9 ^ 0x55);
  }

  static byte[] content(long offset, int length) {
    byte[] data = new byte[length];
    for (int index = 0; index < length; index++) {
      data[index] = content(offset + index);
    }
    return data;
  }

  /// The pieces of one reply, the last one last.
  List<byte[]> to(Request request) {
    int error = random.nextInt(10) == 0 ? 5 : 0;
    if (format == Format.SIMPLE) {
      byte[] head = simple(error, request.cookie());
      boolean data = error == 0 && request.command() == 0;
      return data
          ? List.of(head, content(request.offset(), (int) request.length()))
          : List.of(head);
    }
    List<byte[]> pieces = new ArrayList<>();
    switch (request.command()) {
      case 0 -> chunks(request, pieces);
      case 7 -> {
        for (int id : contextIds) {
          long first = 1 + random.nextLong(request.length());
          var status = bytes().u32(id).u32(first).u32(random.nextInt(4));
          if (first < request.length()) {
            status.u32(request.length() - first).u32(4);
          }
          pieces.add(chunk(0, 5, request.cookie(), status.array()));
        }
      }
      default -> {
        if (error == 0 && random.nextBoolean()) {
          pieces.add(simple(0, request.cookie()));
          return pieces;
        }
      }
    }
    pieces.add(
        error == 0
            ? doneChunk(request.cookie())
            : errorChunk(DONE, request.cookie(), error, "no more"));
    return pieces;
  }

  private void chunks(Request read, List<byte[]> pieces) {
    long end = read.offset() + read.length();
    for (long at = read.offset(); at < end; ) {
      long blockEnd = Math.min(end, (at / BLOCK_BYTES + 1) * BLOCK_BYTES);
      if (isHole(at) && random.nextBoolean()) {
        pieces.add(holeChunk(0, read.cookie(), at, blockEnd - at));
      } else {
        long dataEnd = random.nextBoolean() ? blockEnd : Math.min(end, blockEnd + 3000);
        blockEnd = dataEnd;
        pieces.add(dataChunk(0, read.cookie(), at, content(at, (int) (dataEnd - at))));
      }
      at = blockEnd;
    }
    for (int index = pieces.size() - 1; index > 0; index--) {
      pieces.set(index, pieces.set(random.nextInt(index + 1), pieces.get(index)));
    }
  }

  /// The pieces of several replies, each in its own order; those of simple replies stay together.
  List<byte[]> mixed(List<List<byte[]>> replies) {
    List<List<byte[]>> left = new ArrayList<>();
    replies.forEach(reply -> left.add(new ArrayList<>(reply)));
    List<byte[]> pieces = new ArrayList<>();
    while (!left.isEmpty()) {
      List<byte[]> chosen = left.get(random.nextInt(left.size()));
      do {
        pieces.add(chosen.removeFirst());
      } while (format == Format.SIMPLE && !chosen.isEmpty());
      left.removeIf(List::isEmpty);
    }
    return pieces;
  }
}
