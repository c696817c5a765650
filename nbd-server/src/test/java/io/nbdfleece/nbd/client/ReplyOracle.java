// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Decodes what a server has sent, by the specification and without regard to speed, up to the
/// first thing that is not allowed. Says which requests may succeed at best, and with what.
final class ReplyOracle {
  private static final class Pending {
    final HostileReplies.Request request;
    final byte[] data;
    final BitSet covered = new BitSet();
    final List<Integer> contexts = new ArrayList<>();
    boolean failed;

    Pending(HostileReplies.Request request) {
      this.request = request;
      data = new byte[request.command() == 0 ? (int) request.length() : 0];
    }

    boolean isWhole() {
      return switch (request.command()) {
        case 0 -> covered.cardinality() == data.length;
        case 7 -> contexts.size() == 2;
        default -> true;
      };
    }
  }

  private static final class NotAllowed extends Exception {
    private static final long serialVersionUID = 1;
  }

  private final Map<Long, Pending> pending = new HashMap<>();
  private final Map<HostileReplies.Request, byte[]> succeeded = new HashMap<>();
  private final HostileReplies.Format format;
  private final ByteBuffer in;

  ReplyOracle(HostileReplies.Format format, List<HostileReplies.Request> requests, byte[] replies) {
    this.format = format;
    this.in = ByteBuffer.wrap(replies);
    requests.forEach(request -> pending.put(request.cookie(), new Pending(request)));
    try {
      while (in.hasRemaining()) {
        reply();
      }
    } catch (NotAllowed | BufferUnderflowException | IndexOutOfBoundsException end) {
      pending.clear();
    }
  }

  /// The data of a request that may have succeeded, empty for other commands than a read; nothing
  /// if it cannot have.
  Optional<byte[]> success(HostileReplies.Request request) {
    return Optional.ofNullable(succeeded.get(request));
  }

  private static void require(boolean condition) throws NotAllowed {
    if (!condition) {
      throw new NotAllowed();
    }
  }

  private Pending find(long cookie) throws NotAllowed {
    Pending found = pending.get(cookie);
    if (found == null) {
      throw new NotAllowed();
    }
    return found;
  }

  private void done(Pending answered) throws NotAllowed {
    pending.remove(answered.request.cookie());
    if (!answered.failed) {
      require(answered.isWhole());
      succeeded.put(answered.request, answered.data);
    }
  }

  private void reply() throws NotAllowed {
    int magic = in.getInt();
    if (magic == ScriptedServer.SIMPLE_MAGIC) {
      int error = in.getInt();
      Pending answered = find(in.getLong());
      answered.failed |= error != 0;
      int command = answered.request.command();
      boolean chunksDue = command == 0 || command == 7;
      require(error != 0 || format == HostileReplies.Format.SIMPLE || !chunksDue);
      if (error == 0 && command == 0) {
        in.get(answered.data);
        answered.covered.set(0, answered.data.length);
      }
      done(answered);
      return;
    }
    require(magic == ScriptedServer.CHUNK_MAGIC && format != HostileReplies.Format.SIMPLE);
    int flags = in.getShort() & 0xffff;
    int type = in.getShort() & 0xffff;
    Pending answered = find(in.getLong());
    long length = Integer.toUnsignedLong(in.getInt());
    require((flags & ~1) == 0 && length <= in.remaining());
    ByteBuffer chunk = in.slice(in.position(), (int) length);
    in.position(in.position() + (int) length);
    content(answered, type, chunk, flags == 1);
    if (flags == 1) {
      done(answered);
    }
  }

  private static void content(Pending answered, int type, ByteBuffer chunk, boolean last)
      throws NotAllowed {
    switch (type) {
      case 0 -> require(last && !chunk.hasRemaining());
      case 1 -> {
        int start = start(answered, chunk.getLong(), chunk.remaining());
        chunk.get(answered.data, start, chunk.remaining());
      }
      case 2 -> {
        require(chunk.remaining() == 12);
        start(answered, chunk.getLong(), Integer.toUnsignedLong(chunk.getInt()));
      }
      case 5 -> {
        require(answered.request.command() == 7 && chunk.remaining() >= 12);
        int id = chunk.getInt();
        require(!answered.contexts.contains(id));
        answered.contexts.add(id);
      }
      default -> {
        require((type & 0x8000) != 0 && chunk.getInt() != 0);
        answered.failed = true;
      }
    }
  }

  private static int start(Pending answered, long offset, long length) throws NotAllowed {
    long start = offset - answered.request.offset();
    require(answered.request.command() == 0 && length > 0);
    require(start >= 0 && start <= answered.data.length && length <= answered.data.length - start);
    int end = (int) (start + length);
    require(answered.covered.get((int) start, end).isEmpty());
    answered.covered.set((int) start, end);
    return (int) start;
  }
}
