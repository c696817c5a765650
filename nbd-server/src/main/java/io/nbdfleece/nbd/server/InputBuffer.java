// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.DefaultMaxMessagesRecvByteBufAllocator;
import org.jspecify.annotations.Nullable;

/// Where the kernel puts what a client sends. Used on one event loop only.
///
/// One chunk takes headers and small payloads, read after read, until it is full; it is parsed in
/// place, and a payload that lies in it whole goes to the export as a slice of it. A payload that
/// does not lie in it whole gets a buffer of its own, and from then on the kernel writes straight
/// into that one. So no byte is copied except the start of a long payload.
///
/// The chunk is released by the connection and by each slice; it is started over when only the
/// connection holds it, and is given back while nothing is unread, so an idle client costs none.
/// While slices hold it, it is filled up, so that small payloads in flight share chunks and keep
/// little more than they count for; behind a chunk that is held for the sake of a few bytes comes a
/// small one.
final class InputBuffer extends DefaultMaxMessagesRecvByteBufAllocator {
  /// Reads before other connections of the event loop have their turn.
  private static final int READS_PER_TURN = 8;

  /// Below this much room a chunk is not worth a read.
  private static final int ROOM_BYTES_MIN = 16 << 10;

  private static final int HAGGLING_CHUNK_BYTES = 4 << 10;
  private static final int CHUNK_BYTES = 256 << 10;

  /// One read of ciphertext: four records.
  private static final int CIPHERTEXT_BYTES = 64 << 10;

  /// The kernel's share of a chunk while long payloads arrive: enough for the next headers.
  private static final int SHORT_CHUNK_BYTES = 4 << 10;

  private final ByteBufAllocator allocator;
  private int chunkBytes = HAGGLING_CHUNK_BYTES;
  private int roomBytesMin = HAGGLING_CHUNK_BYTES / 2;
  private boolean longPayloads;
  private boolean sparse;
  private int slicedBytes;
  private boolean encrypted;
  private @Nullable ByteBuf chunk;
  private @Nullable ByteBuf payload;
  private long payloadNumber;

  InputBuffer(ByteBufAllocator allocator) {
    super(READS_PER_TURN);
    this.allocator = allocator;
  }

  /// From here on requests come, not options.
  void expectRequests() {
    chunkBytes = CHUNK_BYTES;
    roomBytesMin = ROOM_BYTES_MIN;
  }

  /// From here on the kernel gives ciphertext, which is none of ours; what has been decrypted comes
  /// by [#received].
  void expectCiphertext() {
    encrypted = true;
  }

  boolean isCiphertext() {
    return encrypted;
  }

  /// What has been received and not consumed. Valid until the next read.
  ByteBuf unread() {
    ByteBuf current = chunk;
    if (current == null) {
      current = allocate(0);
      chunk = current;
    }
    return current;
  }

  boolean hasUnread() {
    ByteBuf current = chunk;
    return current != null && current.isReadable();
  }

  /// Makes sure that the next `totalBytes` bytes will lie in one piece.
  void need(int totalBytes) {
    ByteBuf current = unread();
    if (current.readableBytes() + current.writableBytes() < totalBytes) {
      replace(current, totalBytes);
    }
  }

  /// A buffer of exactly `lengthBytes` for a payload, begun with what has been received of it. The
  /// kernel writes into it until [#finishPayload] takes it.
  ///
  /// @throws OutOfMemoryError when there is no memory for it; then nothing has changed
  void beginPayload(int lengthBytes) {
    ByteBuf whole = allocator.directBuffer(lengthBytes, lengthBytes);
    ByteBuf current = unread();
    whole.writeBytes(current, Math.min(current.readableBytes(), lengthBytes));
    payload = whole;
    payloadNumber++;
    longPayloads = lengthBytes > CHUNK_BYTES / 4;
  }

  boolean hasPayload() {
    return payload != null;
  }

  /// Another one for each payload.
  long payloadNumber() {
    return payloadNumber;
  }

  /// Of the payload under way; 0 when there is none.
  int payloadReceivedBytes() {
    ByteBuf whole = payload;
    return whole == null ? 0 : whole.writerIndex();
  }

  boolean payloadIsWhole() {
    ByteBuf whole = payload;
    return whole != null && !whole.isWritable();
  }

  /// The whole payload; the caller releases it.
  ByteBuf finishPayload() {
    ByteBuf whole = payload;
    if (whole == null || whole.isWritable()) {
      throw new IllegalStateException("payload: not whole");
    }
    payload = null;
    return whole;
  }

  /// A payload lay in the chunk whole, and a slice of it holds the chunk.
  void sawShortPayload(int lengthBytes) {
    longPayloads = false;
    slicedBytes += lengthBytes;
  }

  /// Takes over what a read brought: one of our own buffers, or a foreign one, which is copied.
  @SuppressWarnings("ReferenceEquality") // equals() of buffers compares bytes
  void received(ByteBuf data) {
    if (data != chunk && data != payload) {
      append(data);
    }
    data.release();
  }

  /// Gives the chunk back when nothing in it is unread, and nobody holds it or it is full.
  void settle() {
    ByteBuf current = chunk;
    if (current != null && !current.isReadable()) {
      boolean held = current.refCnt() > 1;
      if (!held || current.writableBytes() < roomBytesMin) {
        judge(current);
        current.release();
        chunk = null;
      }
    }
  }

  /// The rest of the payload will not come.
  void dropPayload() {
    ByteBuf partial = payload;
    payload = null;
    if (partial != null) {
      partial.release();
    }
  }

  /// Drops everything.
  void release() {
    ByteBuf current = chunk;
    chunk = null;
    if (current != null) {
      current.release();
    }
    dropPayload();
  }

  private void append(ByteBuf data) {
    ByteBuf whole = payload;
    if (whole != null) {
      whole.writeBytes(data, Math.min(whole.writableBytes(), data.readableBytes()));
    }
    if (data.isReadable()) {
      ByteBuf current = unread();
      if (current.writableBytes() < data.readableBytes()) {
        current = replace(current, current.readableBytes() + data.readableBytes());
      }
      current.writeBytes(data);
    }
  }

  private ByteBuf readTarget() {
    ByteBuf whole = payload;
    if (whole != null && whole.isWritable()) {
      return whole.retain();
    }
    ByteBuf current = unread();
    if (current.refCnt() == 1) {
      // Nobody else looks into it, so what is unread may move.
      current.discardReadBytes();
      slicedBytes = 0;
    }
    if (current.writableBytes() < Math.min(roomBytesMin, current.capacity() / 2)) {
      // Twice as much each time, when much is unread: a client that has half closed a paused
      // connection has all it sent read at once, and it must not be copied once for each read.
      int unreadBytes = current.readableBytes();
      current = replace(current, unreadBytes + Math.max(roomBytesMin, unreadBytes));
    }
    return current.retain();
  }

  private ByteBuf replace(ByteBuf old, int capacityBytesMin) {
    judge(old);
    ByteBuf fresh = allocate(capacityBytesMin);
    fresh.writeBytes(old);
    old.release();
    chunk = fresh;
    return fresh;
  }

  /// Looks at what slices make of the chunk, before it is left to them.
  private void judge(ByteBuf old) {
    sparse = old.refCnt() > 1 && slicedBytes < old.capacity() / 2;
    slicedBytes = 0;
  }

  private ByteBuf allocate(int capacityBytesMin) {
    int capacityBytes = longPayloads || sparse ? SHORT_CHUNK_BYTES : chunkBytes;
    capacityBytes = Math.max(capacityBytes, capacityBytesMin);
    return allocator.directBuffer(capacityBytes, capacityBytes);
  }

  @Override
  public ReadHandle newHandle() {
    return new ReadHandle();
  }

  final class ReadHandle extends MaxMessageHandle {
    @Override
    public ByteBuf allocate(ByteBufAllocator ignored) {
      return encrypted ? allocator.directBuffer(CIPHERTEXT_BYTES) : readTarget();
    }

    @Override
    public int guess() {
      return chunkBytes;
    }
  }
}
