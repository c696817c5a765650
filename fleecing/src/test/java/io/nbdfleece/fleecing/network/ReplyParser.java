// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;

/// A client's reading of replies, by the NBD specification and not by the server's code. All that
/// is out of form is an AssertionError. Besides, the chunks of one reply are expected in one piece:
/// this server sends them so, and with cookies that repeat nobody could tell them apart else.
final class ReplyParser {
  private final HeaderStyle style;
  private final LongFunction<Request> asked;
  private final Replied replied;
  private @Nullable Assembly assembly;

  /// Takes a whole reply.
  interface Replied {
    void replied(Request to, Reply reply);
  }

  /// Chunks so far.
  private static final class Assembly {
    final Request request;
    final byte[] data;
    final BitSet covered = new BitSet();
    final List<Extent> extents = new ArrayList<>();
    int error;

    Assembly(Request request) {
      this.request = request;
      this.data = new byte[request.command() == Nbd.CMD_READ ? request.lengthBytes() : 0];
    }
  }

  /// @param asked the oldest request of that cookie that has not been answered; throws when there
  ///   is none
  ReplyParser(HeaderStyle style, LongFunction<Request> asked, Replied replied) {
    this.style = style;
    this.asked = asked;
    this.replied = replied;
  }

  /// Nothing of a reply has come that is not there whole.
  boolean isBetweenReplies() {
    return assembly == null;
  }

  /// Takes one reply, or a chunk of one, from the input; false when it is not there whole.
  boolean parse(ByteBuffer in) {
    if (in.remaining() < 4) {
      return false;
    }
    int magic = in.getInt(in.position());
    switch (magic) {
      case Nbd.SIMPLE_REPLY_MAGIC -> {
        assertTrue(style != HeaderStyle.EXTENDED, "a simple reply among extended ones");
        return parseSimple(in);
      }
      case Nbd.STRUCTURED_REPLY_MAGIC -> assertEquals(HeaderStyle.STRUCTURED, style);
      case Nbd.EXTENDED_REPLY_MAGIC -> assertEquals(HeaderStyle.EXTENDED, style);
      default -> throw new AssertionError("reply magic: 0x" + Integer.toHexString(magic));
    }
    return parseChunk(in);
  }

  private boolean parseSimple(ByteBuffer in) {
    if (in.remaining() < Nbd.SIMPLE_REPLY_BYTES) {
      return false;
    }
    int at = in.position();
    int error = in.getInt(at + 4);
    Request request = asked.apply(in.getLong(at + 8));
    boolean read = request.command() == Nbd.CMD_READ;
    assertFalse(style.isChunked() && read, "a simple reply to a READ");
    int dataBytes = read && error == 0 ? request.lengthBytes() : 0;
    if (in.remaining() < Nbd.SIMPLE_REPLY_BYTES + dataBytes) {
      return false;
    }
    assertTrue(assembly == null, "a simple reply between the chunks of another");
    byte[] data = new byte[dataBytes];
    in.position(at + Nbd.SIMPLE_REPLY_BYTES);
    in.get(data);
    replied.replied(request, new Reply(error, data, List.of()));
    return true;
  }

  private boolean parseChunk(ByteBuffer in) {
    if (in.remaining() < style.chunkBytes()) {
      return false;
    }
    boolean extended = style == HeaderStyle.EXTENDED;
    int at = in.position();
    long contentBytes = extended ? in.getLong(at + 24) : in.getInt(at + 16);
    assertTrue(contentBytes >= 0 && contentBytes < 64 << 20, "length of a chunk: " + contentBytes);
    if (in.remaining() < style.chunkBytes() + contentBytes) {
      return false;
    }
    int flags = in.getShort(at + 4);
    int type = in.getShort(at + 6) & 0xffff;
    Request request = asked.apply(in.getLong(at + 8));
    if (extended) {
      assertEquals(request.offsetBytes(), in.getLong(at + 16), "offset in the header of a chunk");
    }
    Assembly under = assembly == null ? new Assembly(request) : assembly;
    assertEquals(under.request.cookie(), request.cookie(), "a chunk between those of another");
    ByteBuffer content = in.slice(at + style.chunkBytes(), (int) contentBytes);
    in.position(at + style.chunkBytes() + (int) contentBytes);
    add(under, type, content);
    assertFalse(content.hasRemaining(), "a chunk with more content than its type has");
    assembly = under;
    if ((flags & Nbd.REPLY_FLAG_DONE) != 0) {
      assembly = null;
      finish(under);
    }
    return true;
  }

  private void add(Assembly to, int type, ByteBuffer content) {
    switch (type) {
      case Nbd.REPLY_NONE -> {}
      case Nbd.REPLY_OFFSET_DATA -> {
        int from = place(to, content);
        int count = content.remaining();
        cover(to, from, count);
        content.get(to.data, from, count);
      }
      case Nbd.REPLY_OFFSET_HOLE -> cover(to, place(to, content), content.getInt());
      case Nbd.REPLY_BLOCK_STATUS -> {
        assertEquals(1, content.getInt(), "number of the context");
        while (content.hasRemaining()) {
          to.extents.add(new Extent(content.getInt() & 0xffff_ffffL, content.getInt()));
        }
      }
      case Nbd.REPLY_BLOCK_STATUS_EXT -> {
        assertEquals(1, content.getInt(), "number of the context");
        int count = content.getInt();
        for (int i = 0; i < count; i++) {
          to.extents.add(new Extent(content.getLong(), content.getLong()));
        }
      }
      case Nbd.REPLY_ERROR, Nbd.REPLY_ERROR_OFFSET -> {
        to.error = content.getInt();
        assertTrue(to.error != 0, "an error of number 0");
        int textBytes = content.getShort() & 0xffff;
        content.position(content.position() + textBytes);
        if (type == Nbd.REPLY_ERROR_OFFSET) {
          content.getLong();
        }
      }
      default -> throw new AssertionError("type of a chunk: " + type);
    }
  }

  private static int place(Assembly to, ByteBuffer content) {
    assertEquals(Nbd.CMD_READ, to.request.command(), "data for another command than READ");
    return Math.toIntExact(content.getLong() - to.request.offsetBytes());
  }

  private static void cover(Assembly to, int from, int count) {
    assertTrue(
        from >= 0 && count > 0 && from + count <= to.data.length, "a chunk outside of its read");
    assertTrue(
        to.covered.nextSetBit(from) < 0 || to.covered.nextSetBit(from) >= from + count,
        "a byte twice");
    to.covered.set(from, from + count);
  }

  private void finish(Assembly whole) {
    if (whole.error == 0) {
      assertEquals(whole.data.length, whole.covered.cardinality(), "bytes of a read");
      assertTrue(
          whole.request.command() != Nbd.CMD_BLOCK_STATUS || !whole.extents.isEmpty(),
          "a status without an extent");
    }
    replied.replied(whole.request, new Reply(whole.error, whole.data, List.copyOf(whole.extents)));
  }
}
