// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.optionReply;

import io.nbdfleece.nbd.server.FuzzMutation;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/// A server's side of one connection, from a seed: right, or damaged in its handshake, or in its
/// replies. What it has sent in the transmission phase is kept for [ReplyOracle].
final class HostileSession {
  /// Where the damage is.
  enum Damage {
    NONE,
    HANDSHAKE,
    REPLIES
  }

  /// The server goes away when it has sent that many bytes.
  record Cut(int byteCount, Way way) {
    static final Cut NEVER = new Cut(Integer.MAX_VALUE, Way.CLOSE);
  }

  /// How a server goes away.
  enum Way {
    CLOSE,
    /// Sends no more, and reads until the client closes.
    HALF_CLOSE,
    /// Over TCP only.
    RESET
  }

  private static final Map<Integer, String> CONTEXTS =
      Map.of(1, "base:allocation", 7, "qemu:dirty-bitmap:b0");
  private static final long[] SIZES = {
    0, 1, 511, 1 << 20, 1L << 32, Long.MAX_VALUE, Long.MIN_VALUE, -1, -512
  };
  private static final int FLAGS_ALL = 0xd6d & ~2;
  private static final long PATIENCE_MILLIS = 10;
  private static final int FLOOD_BYTES_MAX = 64 << 20;

  final Damage damage;
  final HostileReplies.Format format;
  final long sizeBytes;
  final CountDownLatch over = new CountDownLatch(1);
  final List<HostileReplies.Request> requests = new ArrayList<>();
  final ByteArrayOutputStream replies = new ByteArrayOutputStream();
  private final SplittableRandom random;
  private final int requestCount;
  private final boolean structured;
  private final Cut cut;
  private int sentBytes;

  /// A session without damage, cut.
  HostileSession(SplittableRandom random, int requestCount, Cut cut) {
    this.random = random;
    this.requestCount = requestCount;
    this.cut = cut;
    damage = Damage.NONE;
    structured = true;
    format = HostileReplies.Format.STRUCTURED;
    sizeBytes = 1 << 20;
  }

  /// @param requestCount how many the client sends, if the handshake is not damaged
  HostileSession(SplittableRandom random, int requestCount) {
    this.random = random;
    this.requestCount = requestCount;
    cut = Cut.NEVER;
    Damage[] damages = Damage.values();
    damage = damages[random.nextInt(damages.length)];
    structured = random.nextInt(4) > 0;
    format = structured ? HostileReplies.Format.STRUCTURED : HostileReplies.Format.SIMPLE;
    sizeBytes =
        damage == Damage.HANDSHAKE && chance(30)
            ? SIZES[random.nextInt(SIZES.length)]
            : random.nextBoolean() ? 1 << 20 : 1L << 62;
  }

  private boolean chance(int percent) {
    return random.nextInt(100) < percent;
  }

  /// Until the script is over or the client has gone, which is told by the exception.
  void serve(SocketChannel connection, ScheduledExecutorService clock) throws IOException {
    if (handshake(connection, clock)) {
      transmission(connection);
    }
  }

  /// A client that was told nonsense may wait for more: the connection ends soon.
  private static void endSoon(SocketChannel connection, ScheduledExecutorService clock) {
    var unused =
        clock.schedule(
            () -> {
              connection.close();
              return connection;
            },
            PATIENCE_MILLIS,
            TimeUnit.MILLISECONDS);
    assert unused != null;
  }

  private static ByteBuffer receive(SocketChannel connection, int byteCount) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(byteCount);
    while (buffer.hasRemaining()) {
      if (connection.read(buffer) < 0) {
        throw new IOException("the client closed");
      }
    }
    return buffer.flip();
  }

  /// How many bytes the client was sent.
  int sentBytes() {
    return sentBytes;
  }

  private void send(SocketChannel connection, byte[] bytes) throws IOException {
    int length = Math.min(bytes.length, cut.byteCount() - sentBytes);
    ByteBuffer buffer = ByteBuffer.wrap(bytes, 0, length);
    while (buffer.hasRemaining()) {
      connection.write(buffer);
    }
    sentBytes += length;
    if (length < bytes.length) {
      leave(connection);
    }
  }

  private void leave(SocketChannel connection) throws IOException {
    switch (cut.way()) {
      case CLOSE -> connection.close();
      case HALF_CLOSE -> {
        connection.shutdownOutput();
        while (true) {
          ByteBuffer _ = receive(connection, 1);
        }
      }
      case RESET -> {
        connection.setOption(StandardSocketOptions.SO_LINGER, 0);
        connection.close();
      }
    }
    throw new IOException("cut");
  }

  /// Sends pieces of the handshake, damaged at times.
  private void say(SocketChannel connection, ScheduledExecutorService clock, byte[]... pieces)
      throws IOException {
    List<byte[]> all = new ArrayList<>(List.of(pieces));
    if (damage == Damage.HANDSHAKE && chance(15)) {
      if (chance(2)) {
        flood(connection, pieces[0]);
      }
      new FuzzMutation(random).damage(all);
      endSoon(connection, clock);
    }
    for (byte[] piece : all) {
      send(connection, piece);
    }
    if (damage == Damage.HANDSHAKE && chance(3)) {
      throw new IOException("cut");
    }
  }

  private void flood(SocketChannel connection, byte[] piece) throws IOException {
    byte[] many = new byte[Math.max(1, (64 << 10) / piece.length) * piece.length];
    for (int at = 0; at < many.length; at += piece.length) {
      System.arraycopy(piece, 0, many, at, piece.length);
    }
    for (int sent = 0; sent < FLOOD_BYTES_MAX; sent += many.length) {
      send(connection, many);
    }
    throw new IOException("the flood is over");
  }

  /// Whether the export was opened.
  private boolean handshake(SocketChannel connection, ScheduledExecutorService clock)
      throws IOException {
    int serverFlags = damage == Damage.HANDSHAKE && chance(20) ? random.nextInt(1 << 16) : 3;
    say(connection, clock, bytes().text("NBDMAGICIHAVEOPT").u16(serverFlags).array());
    boolean zeroes = (receive(connection, 4).getInt() & 2) == 0;
    while (true) {
      ByteBuffer header = receive(connection, 16);
      int option = header.getInt(8);
      ByteBuffer _ = receive(connection, header.getInt(12));
      byte[] ack = optionReply(option, 1, new byte[0]);
      byte[] refusal = optionReply(option, 0x80000001, new byte[] {'n', 'o'});
      switch (option) {
        case 1 -> {
          byte[] padding = new byte[zeroes ? 124 : 0];
          say(connection, clock, bytes().u64(sizeBytes).u16(FLAGS_ALL).raw(padding).array());
          return true;
        }
        case 3 -> {
          byte[] listed = optionReply(3, 2, bytes().u32(4).text("disk").array());
          say(connection, clock, listed, ack);
        }
        case 6, 7 -> {
          if (damage == Damage.HANDSHAKE && chance(10)) {
            say(connection, clock, refusal);
          } else {
            say(connection, clock, infos(option), ack);
            if (option == 7) {
              return true;
            }
          }
        }
        case 8 -> say(connection, clock, structured ? ack : refusal);
        case 10 -> say(connection, clock, contexts(ack));
        default -> say(connection, clock, refusal);
      }
    }
  }

  private byte[] infos(int option) {
    int flags = damage == Damage.HANDSHAKE && chance(20) ? random.nextInt(1 << 16) : FLAGS_ALL;
    return bytes()
        .raw(optionReply(option, 3, bytes().u16(0).u64(sizeBytes).u16(flags).array()))
        .raw(optionReply(option, 3, bytes().u16(3).u32(1).u32(4096).u32(32 << 20).array()))
        .array();
  }

  private static byte[][] contexts(byte[] ack) {
    List<byte[]> pieces = new ArrayList<>();
    CONTEXTS.forEach(
        (id, name) -> pieces.add(optionReply(10, 4, bytes().u32(id).text(name).array())));
    pieces.add(ack);
    return pieces.toArray(new byte[0][]);
  }

  private HostileReplies.Request request(SocketChannel connection) throws IOException {
    ByteBuffer header = receive(connection, 28);
    int command = header.getShort(6);
    int length = header.getInt(24);
    HostileReplies.Request request =
        new HostileReplies.Request(
            command, header.getLong(8), header.getLong(16), Integer.toUnsignedLong(length));
    if (command == 2) {
      throw new IOException("the client disconnects");
    }
    ByteBuffer _ = receive(connection, command == 1 ? length : 0);
    requests.add(request);
    return request;
  }

  private void transmission(SocketChannel connection) throws IOException {
    HostileReplies answers = new HostileReplies(random, format, CONTEXTS.keySet());
    if (damage == Damage.HANDSHAKE) {
      // What the client believes to have agreed may keep it from sending some of its requests.
      while (true) {
        for (byte[] piece : answers.to(request(connection))) {
          transmit(connection, piece);
        }
      }
    }
    List<List<byte[]>> all = new ArrayList<>();
    for (int count = 0; count < requestCount; count++) {
      all.add(answers.to(request(connection)));
    }
    List<byte[]> pieces = answers.mixed(all);
    if (damage == Damage.REPLIES) {
      FuzzMutation mutation = new FuzzMutation(random);
      for (int count = random.nextInt(1, 4); count > 0; count--) {
        mutation.damage(pieces);
      }
    }
    for (byte[] piece : pieces) {
      transmit(connection, piece);
    }
    if (damage == Damage.NONE && chance(50)) {
      request(connection);
    }
  }

  private void transmit(SocketChannel connection, byte[] piece) throws IOException {
    int left = Math.min(piece.length, cut.byteCount() - sentBytes);
    replies.write(piece, 0, left);
    send(connection, piece);
  }
}
