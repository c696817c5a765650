// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.server.RawPeer.Answer;
import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// A [RawPeer] with an open export, in one of the modes that replies can have, so that a rule can
/// be tried in each. Checks every chunk for what all chunks must be.
final class Session implements AutoCloseable {
  /// What was agreed for replies.
  enum Mode {
    SIMPLE,
    STRUCTURED,
    EXTENDED;

    boolean hasChunks() {
      return this != SIMPLE;
    }
  }

  /// One whole reply.
  ///
  /// @param error 0 for success
  /// @param chunks one simple reply, or the chunks up to the last
  record Reply(long cookie, int error, List<Answer> chunks) {
    boolean isSimple() {
      return chunks.getFirst().type() == -1;
    }

    String text() {
      for (Answer chunk : chunks) {
        if (chunk.type() == Nbd.REPLY_ERROR) {
          return chunk.errorText();
        }
      }
      return "";
    }

    /// What was read: no byte twice, none left out.
    byte[] content(long offsetBytes, int lengthBytes) {
      byte[] content = new byte[lengthBytes];
      if (isSimple()) {
        return chunks.getFirst().data();
      }
      boolean[] covered = new boolean[lengthBytes];
      for (Answer chunk : chunks) {
        if (chunk.type() == Nbd.REPLY_OFFSET_DATA || chunk.type() == Nbd.REPLY_OFFSET_HOLE) {
          ByteBuffer data = chunk.buffer();
          int start = Math.toIntExact(data.getLong() - offsetBytes);
          boolean hole = chunk.type() == Nbd.REPLY_OFFSET_HOLE;
          int count = hole ? data.getInt() : data.remaining();
          for (int index = start; index < start + count; index++) {
            assertFalse(covered[index], "covered twice: " + index);
            covered[index] = true;
            content[index] = hole ? 0 : data.get();
          }
        }
      }
      for (int index = 0; index < lengthBytes; index++) {
        assertTrue(covered[index], "not covered: " + index);
      }
      return content;
    }
  }

  final RawPeer raw;
  final Mode mode;
  private final Map<Long, List<Answer>> unfinished = new HashMap<>();

  private Session(RawPeer raw, Mode mode) {
    this.raw = raw;
    this.mode = mode;
  }

  /// The export "disk" with those contexts, which the server must have, selected.
  static Session open(TestServer server, Mode mode, String... contexts) throws IOException {
    return open(server.connect(), mode, "disk", contexts);
  }

  static Session open(RawPeer raw, Mode mode, String export, String... contexts)
      throws IOException {
    Session session = new Session(raw, mode);
    raw.greet(3);
    agree(raw, mode);
    if (contexts.length > 0) {
      List<OptionAnswer> answers =
          raw.ask(Nbd.OPT_SET_META_CONTEXT, RawPeer.queries(export, contexts));
      assertEquals(contexts.length + 1, answers.size());
    }
    assertEquals(Nbd.REP_ACK, raw.ask(Nbd.OPT_GO, RawPeer.go(export)).getLast().type());
    return session;
  }

  /// Asks for what the mode needs.
  static void agree(RawPeer raw, Mode mode) throws IOException {
    int option = mode == Mode.EXTENDED ? Nbd.OPT_EXTENDED_HEADERS : Nbd.OPT_STRUCTURED_REPLY;
    if (mode.hasChunks()) {
      assertEquals(Nbd.REP_ACK, raw.ask(option).getLast().type());
    }
  }

  byte[] bytes(int command, int flags, long cookie, long offset, long length, byte... payload) {
    if (mode == Mode.EXTENDED) {
      int all = flags | (command == Nbd.CMD_WRITE ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0);
      return RawPeer.extended(command, all, cookie, offset, length, payload);
    }
    return RawPeer.request(command, flags, cookie, offset, length, payload);
  }

  void send(int command, int flags, long cookie, long offset, long length, byte... payload)
      throws IOException {
    raw.send(bytes(command, flags, cookie, offset, length, payload));
  }

  /// One request and its reply.
  Reply ask(int command, int flags, long offset, long length, byte... payload) throws IOException {
    long cookie = 0x1234_5678_9abc_def0L + offset;
    send(command, flags, cookie, offset, length, payload);
    Reply reply = reply(command == Nbd.CMD_READ ? (int) length : 0);
    assertEquals(cookie, reply.cookie());
    if (command == Nbd.CMD_READ) {
      assertEquals(mode.hasChunks(), !reply.isSimple(), "a READ is answered as agreed");
    }
    return reply;
  }

  int error(int command, int flags, long offset, long length, byte... payload) throws IOException {
    return ask(command, flags, offset, length, payload).error();
  }

  byte[] read(long offset, int length) throws IOException {
    Reply reply = ask(Nbd.CMD_READ, 0, offset, length);
    assertEquals(0, reply.error());
    return reply.content(offset, length);
  }

  void write(long offset, byte[] data) throws IOException {
    assertEquals(0, error(Nbd.CMD_WRITE, 0, offset, data.length, data));
  }

  /// The next whole reply, whichever request it belongs to.
  Reply reply(int dataBytes) throws IOException {
    while (true) {
      Answer answer = answer(dataBytes);
      if (answer.type() == -1) {
        return new Reply(answer.cookie(), answer.error(), List.of(answer));
      }
      check(answer);
      List<Answer> chunks = unfinished.computeIfAbsent(answer.cookie(), _ -> new ArrayList<>());
      chunks.add(answer);
      if ((answer.flags() & Nbd.REPLY_FLAG_DONE) != 0) {
        List<Answer> whole = unfinished.remove(answer.cookie());
        return new Reply(answer.cookie(), errorNumber(chunks), whole == null ? chunks : whole);
      }
    }
  }

  private Answer answer(int dataBytes) throws IOException {
    if (mode != Mode.EXTENDED) {
      return raw.reply(dataBytes);
    }
    RawPeer.Chunk chunk = raw.chunk();
    return new Answer(chunk.cookie(), 0, chunk.flags(), chunk.type(), chunk.data());
  }

  private static int errorNumber(List<Answer> chunks) {
    int error = 0;
    for (Answer chunk : chunks) {
      if (chunk.type() >> 15 != 0) {
        error = chunk.buffer().getInt();
      }
    }
    return error;
  }

  /// What the specification asks of each type of chunk.
  private static void check(Answer chunk) {
    assertEquals(0, chunk.flags() & ~Nbd.REPLY_FLAG_DONE, "no unknown flags");
    ByteBuffer data = chunk.buffer();
    switch (chunk.type()) {
      case Nbd.REPLY_NONE -> {
        assertEquals(0, data.remaining());
        assertEquals(Nbd.REPLY_FLAG_DONE, chunk.flags());
      }
      case Nbd.REPLY_OFFSET_DATA -> assertTrue(data.remaining() >= 9, "data of a content chunk");
      case Nbd.REPLY_OFFSET_HOLE -> {
        assertEquals(12, data.remaining());
        assertTrue(data.getInt(8) != 0, "a hole has a size");
      }
      case Nbd.REPLY_BLOCK_STATUS ->
          assertTrue(data.remaining() >= 12 && data.remaining() % 8 == 4);
      case Nbd.REPLY_BLOCK_STATUS_EXT ->
          assertEquals(8 + 16L * Integer.toUnsignedLong(data.getInt(4)), data.remaining());
      case Nbd.REPLY_ERROR -> checkError(data, 6);
      case Nbd.REPLY_ERROR_OFFSET -> checkError(data, 14);
      default -> throw new AssertionError("type of chunk: " + chunk.type());
    }
  }

  private static void checkError(ByteBuffer data, int bytesMin) {
    assertTrue(data.remaining() >= bytesMin);
    assertTrue(data.getInt() != 0, "an error is not zero");
    int textBytes = data.getShort();
    assertTrue(textBytes >= 0 && textBytes <= 4096);
    assertEquals(textBytes + bytesMin - 6, data.remaining());
  }

  /// Length and flags of each descriptor of a status chunk.
  static List<long[]> descriptors(Answer chunk, Mode mode) {
    boolean extended = mode == Mode.EXTENDED;
    assertEquals(extended ? Nbd.REPLY_BLOCK_STATUS_EXT : Nbd.REPLY_BLOCK_STATUS, chunk.type());
    ByteBuffer data = chunk.buffer().position(extended ? 8 : 4);
    List<long[]> descriptors = new ArrayList<>();
    while (data.hasRemaining()) {
      descriptors.add(
          extended
              ? new long[] {data.getLong(), data.getLong()}
              : new long[] {Integer.toUnsignedLong(data.getInt()), data.getInt()});
    }
    return descriptors;
  }

  @Override
  public void close() throws IOException {
    raw.close();
  }
}
