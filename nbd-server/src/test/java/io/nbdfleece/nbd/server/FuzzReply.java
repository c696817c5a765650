// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.server.HandshakeOracle.Format;
import io.nbdfleece.nbd.server.TransmissionOracle.Owed;
import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// One whole reply, simple or all of its chunks.
record FuzzReply(
    Format format,
    long cookie,
    long offset,
    int error,
    List<Content> contents,
    List<Status> statuses) {
  private static final int SIMPLE_MAGIC = 0x67446698;
  private static final int TEXT_ERROR = 0x8001;
  private static final int OFFSET_ERROR = 0x8002;

  /// Some of a read; `data` is empty for a hole.
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Content(long offset, long length, Optional<ByteBuffer> data) {}

  /// The answer of one context.
  record Status(int contextId, List<Descriptor> descriptors) {}

  record Descriptor(long length, long flags) {}

  /// Reads the next reply. In simple format the requests say whether data follows.
  static FuzzReply read(Format format, ByteBuffer in, Map<Long, List<Owed>> owed) {
    FuzzSession.need(in, 4, "magic of a reply");
    int magic = in.getInt(in.position());
    if (format == Format.SIMPLE || (format == Format.STRUCTURED && magic == SIMPLE_MAGIC)) {
      assertEquals(SIMPLE_MAGIC, magic, "magic of a simple reply");
      FuzzSession.need(in, 16, "simple reply");
      in.getInt();
      int error = in.getInt();
      long cookie = in.getLong();
      List<Content> contents = new ArrayList<>();
      if (error == 0 && format == Format.SIMPLE) {
        simpleData(in, owed.getOrDefault(cookie, List.of())).ifPresent(contents::add);
      }
      return new FuzzReply(Format.SIMPLE, cookie, 0, error, contents, List.of());
    }
    Chunks chunks = new Chunks(format);
    while (!chunks.take(in)) {
      // Up to the one that is marked as the last.
    }
    return chunks.whole();
  }

  private static Optional<Content> simpleData(ByteBuffer in, List<Owed> candidates) {
    for (Owed read : candidates) {
      byte[] expected = read.data().get();
      int length = expected.length;
      if (length > 0
          && in.remaining() >= length
          && in.slice(in.position(), length).equals(ByteBuffer.wrap(expected))) {
        ByteBuffer data = FuzzSession.slice(in, length);
        return Optional.of(new Content(read.offset(), length, Optional.of(data)));
      }
      if (in.remaining() < length) {
        throw new FuzzSession.RepliesEnd("data of a read");
      }
    }
    return Optional.empty();
  }

  /// The request that it answers; fails if there is none.
  Owed match(List<Owed> candidates, HandshakeOracle.Agreed agreed) {
    for (Owed candidate : candidates) {
      if (answers(candidate, agreed)) {
        return candidate;
      }
    }
    throw new AssertionError("reply that answers nothing: " + this + ", owed: " + candidates);
  }

  private boolean answers(Owed request, HandshakeOracle.Agreed agreed) {
    boolean chunksDue =
        request.command() == Nbd.CMD_READ || request.command() == Nbd.CMD_BLOCK_STATUS;
    if (format != agreed.format() && chunksDue) {
      return false;
    }
    if (format == Format.EXTENDED && offset != request.offset()) {
      return false;
    }
    if (error != 0) {
      return request.errors().contains(error);
    }
    if (!request.errors().isEmpty()) {
      return false;
    }
    return switch (request.command()) {
      case Nbd.CMD_READ -> statuses.isEmpty() && isDataOf(request);
      case Nbd.CMD_BLOCK_STATUS -> contents.isEmpty() && isStatusOf(request, agreed);
      default -> contents.isEmpty() && statuses.isEmpty();
    };
  }

  private boolean isDataOf(Owed request) {
    byte[] wanted = request.data().get();
    List<Content> ordered = new ArrayList<>(contents);
    ordered.sort(Comparator.comparingLong(Content::offset));
    long at = request.offset();
    for (Content content : ordered) {
      int start = (int) (at - request.offset());
      if (content.offset() != at || content.length() > wanted.length - start) {
        return false;
      }
      ByteBuffer expected = ByteBuffer.wrap(wanted, start, (int) content.length());
      ByteBuffer data = content.data().orElseGet(() -> ByteBuffer.allocate((int) content.length()));
      if (!data.equals(expected)) {
        return false;
      }
      at += content.length();
    }
    boolean fragmented = (request.flags() & Nbd.CMD_FLAG_DF) != 0 && contents.size() > 1;
    return at == request.offset() + request.length() && !fragmented;
  }

  private boolean isStatusOf(Owed request, HandshakeOracle.Agreed agreed) {
    if (request.length() == 0) {
      return statuses.isEmpty();
    }
    if (statuses.size() != request.contexts().size()) {
      return false;
    }
    for (Status status : statuses) {
      String context = request.contexts().get(status.contextId());
      if (context == null || !isStatusOf(request, agreed.kind(), context, status.descriptors())) {
        return false;
      }
    }
    return statuses.stream().map(Status::contextId).distinct().count() == statuses.size();
  }

  private static boolean isStatusOf(
      Owed request, FuzzExport.Kind kind, String context, List<Descriptor> descriptors) {
    long at = request.offset();
    for (Descriptor descriptor : descriptors) {
      boolean inside =
          descriptor.length() > 0
              && descriptor.length() <= request.offset() + request.length() - at;
      if (!inside
          || descriptor.flags() != kind.statusFlags(context, at)
          || descriptor.flags() != kind.statusFlags(context, at + descriptor.length() - 1)) {
        return false;
      }
      at += descriptor.length();
    }
    boolean one = (request.flags() & Nbd.CMD_FLAG_REQ_ONE) != 0;
    return one ? descriptors.size() == 1 : !descriptors.isEmpty();
  }

  /// Chunks of one reply, which this server sends in one go.
  private static final class Chunks {
    private final Format format;
    private final List<Content> contents = new ArrayList<>();
    private final List<Status> statuses = new ArrayList<>();
    private boolean begun;
    private long cookie;
    private long offset;
    private int error;

    Chunks(Format format) {
      this.format = format;
    }

    FuzzReply whole() {
      return new FuzzReply(format, cookie, offset, error, contents, statuses);
    }

    /// Whether it was the last one.
    boolean take(ByteBuffer in) {
      boolean extended = format == Format.EXTENDED;
      FuzzSession.need(in, extended ? 32 : 20, "header of a chunk");
      assertEquals(extended ? FuzzWire.EXTENDED_REPLY_MAGIC : 0x668e33ef, in.getInt(), "magic");
      int flags = in.getShort();
      int type = in.getShort() & 0xffff;
      long id = in.getLong();
      assertTrue(!begun || id == cookie, "chunks of two replies mixed");
      begun = true;
      cookie = id;
      if (extended) {
        offset = in.getLong();
      }
      long length = extended ? in.getLong() : Integer.toUnsignedLong(in.getInt());
      assertEquals(0, flags & ~1, "flags of a chunk");
      assertTrue(length >= 0 && length <= (32 << 20) + 8, "length of a chunk");
      FuzzSession.need(in, length, "data of a chunk");
      content(type, FuzzSession.slice(in, (int) length));
      assertTrue(type != 0 || flags == 1, "NONE that is not the last");
      return flags == 1;
    }

    private void content(int type, ByteBuffer data) {
      int length = data.remaining();
      switch (type) {
        case 0 -> assertEquals(0, length);
        case 1 -> {
          assertTrue(length >= 9, "OFFSET_DATA");
          contents.add(new Content(data.getLong(), length - 8, Optional.of(data.slice())));
        }
        case 2 -> {
          assertEquals(12, length, "OFFSET_HOLE");
          contents.add(
              new Content(data.getLong(), Integer.toUnsignedLong(data.getInt()), Optional.empty()));
        }
        case 5, FuzzWire.REPLY_BLOCK_STATUS_EXT -> status(type, data);
        case TEXT_ERROR, OFFSET_ERROR -> {
          error = data.getInt();
          int textBytes = data.getShort() & 0xffff;
          assertTrue(error != 0, "error chunk without an error");
          assertEquals(6 + textBytes + (type == OFFSET_ERROR ? 8 : 0), length, "error chunk");
          assertTrue(FuzzSession.text(data.slice(6, textBytes)).isPresent(), "error text");
        }
        default -> throw new AssertionError("chunk of type " + type);
      }
    }

    private void status(int type, ByteBuffer data) {
      boolean wide = type == FuzzWire.REPLY_BLOCK_STATUS_EXT;
      assertEquals(format == Format.EXTENDED, wide, "kind of block status");
      int id = data.getInt();
      if (wide) {
        assertEquals(data.remaining() - 4, 16L * data.getInt(), "count of descriptors");
      }
      List<Descriptor> descriptors = new ArrayList<>();
      while (data.hasRemaining()) {
        descriptors.add(
            wide
                ? new Descriptor(data.getLong(), data.getLong())
                : new Descriptor(
                    Integer.toUnsignedLong(data.getInt()), Integer.toUnsignedLong(data.getInt())));
      }
      statuses.add(new Status(id, descriptors));
    }
  }
}
