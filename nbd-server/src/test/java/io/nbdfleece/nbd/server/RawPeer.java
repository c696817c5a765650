// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// A client that speaks bytes, right or wrong ones. What it sends is built by the static methods.
final class RawPeer implements AutoCloseable {
  final SocketChannel socket;
  final DataInputStream in;

  RawPeer(SocketChannel socket) {
    this.socket = socket;
    this.in = new DataInputStream(Channels.newInputStream(socket));
  }

  static RawPeer connect(Path path) throws IOException {
    SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX);
    socket.connect(UnixDomainSocketAddress.of(path));
    return new RawPeer(socket);
  }

  /// Greeted, structured replies as wanted, the export open, no contexts.
  static RawPeer open(Path path, boolean structured) throws IOException {
    RawPeer peer = connect(path);
    peer.begin(structured);
    return peer;
  }

  void begin(boolean structured) throws IOException {
    greet(3);
    if (structured) {
      send(option(Nbd.OPT_STRUCTURED_REPLY));
      optionReply();
    }
    go();
  }

  /// Greeted, extended headers agreed on, the contexts selected, the export open.
  static RawPeer openExtended(Path path, String... contexts) throws IOException {
    RawPeer peer = connect(path);
    peer.greet(3);
    peer.send(option(Nbd.OPT_EXTENDED_HEADERS));
    if (peer.optionReply().type() != Nbd.REP_ACK) {
      throw new IOException("extended headers: refused");
    }
    if (contexts.length > 0) {
      peer.send(option(Nbd.OPT_SET_META_CONTEXT, queries("disk", contexts)));
      while (peer.optionReply().type() != Nbd.REP_ACK) {
        // one per context
      }
    }
    peer.go();
    return peer;
  }

  void go() throws IOException {
    send(option(Nbd.OPT_GO, go("disk")));
    OptionAnswer answer;
    do {
      answer = optionReply();
    } while (answer.type() == Nbd.REP_INFO);
    if (answer.type() != Nbd.REP_ACK) {
      throw new IOException("GO: " + answer);
    }
  }

  void greet(int clientFlags) throws IOException {
    in.readLong();
    in.readLong();
    in.readUnsignedShort();
    send(bytes(out -> out.writeInt(clientFlags)));
  }

  void send(byte[]... parts) throws IOException {
    for (byte[] part : parts) {
      ByteBuffer buffer = ByteBuffer.wrap(part);
      while (buffer.hasRemaining()) {
        socket.write(buffer);
      }
    }
  }

  /// Whether the server has closed the connection; fails when it sends something instead.
  boolean atEnd() throws IOException {
    try {
      int next = in.read();
      if (next >= 0) {
        throw new AssertionError("byte " + next + " instead of the end");
      }
      return true;
    } catch (java.net.SocketException reset) {
      return true;
    } catch (IOException reset) {
      return String.valueOf(reset.getMessage()).contains("reset");
    }
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }

  @SuppressWarnings("ArrayRecordComponent") // never compared
  record OptionAnswer(int option, int type, byte[] data) {
    String text() {
      return new String(data, StandardCharsets.UTF_8);
    }

    ByteBuffer buffer() {
      return ByteBuffer.wrap(data);
    }
  }

  OptionAnswer optionReply() throws IOException {
    return optionReply(in);
  }

  static OptionAnswer optionReply(DataInputStream in) throws IOException {
    long magic = in.readLong();
    if (magic != Nbd.OPTION_REPLY_MAGIC) {
      throw new IOException("option reply magic: " + Long.toHexString(magic));
    }
    int option = in.readInt();
    int type = in.readInt();
    return new OptionAnswer(option, type, exactly(in, in.readInt()));
  }

  /// A simple reply has `type` -1, and the data that the caller said it has.
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Answer(long cookie, int error, int flags, int type, byte[] data) {
    ByteBuffer buffer() {
      return ByteBuffer.wrap(data);
    }

    int errorNumber() {
      return type == -1 ? error : type == Nbd.REPLY_ERROR ? buffer().getInt() : 0;
    }

    String errorText() {
      return new String(data, 6, data.length - 6, StandardCharsets.UTF_8);
    }
  }

  Answer reply() throws IOException {
    return reply(in, 0);
  }

  Answer reply(int dataBytes) throws IOException {
    return reply(in, dataBytes);
  }

  static Answer reply(DataInputStream in, int dataBytes) throws IOException {
    int magic = in.readInt();
    if (magic == Nbd.SIMPLE_REPLY_MAGIC) {
      int error = in.readInt();
      long cookie = in.readLong();
      return new Answer(cookie, error, 0, -1, exactly(in, error == 0 ? dataBytes : 0));
    }
    if (magic != Nbd.STRUCTURED_REPLY_MAGIC) {
      throw new IOException("reply magic: " + Integer.toHexString(magic));
    }
    int flags = in.readUnsignedShort();
    int type = in.readUnsignedShort();
    long cookie = in.readLong();
    return new Answer(cookie, 0, flags, type, exactly(in, in.readInt()));
  }

  /// All of them, or an exception: a stream that ends within a reply has lost it.
  private static byte[] exactly(DataInputStream in, int lengthBytes) throws IOException {
    byte[] data = new byte[lengthBytes];
    in.readFully(data);
    return data;
  }

  /// A chunk with an extended header.
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Chunk(int flags, int type, long cookie, long offset, byte[] data) {
    ByteBuffer buffer() {
      return ByteBuffer.wrap(data);
    }

    boolean isLast() {
      return flags == Nbd.REPLY_FLAG_DONE;
    }

    int errorNumber() {
      return type == Nbd.REPLY_ERROR ? buffer().getInt() : 0;
    }
  }

  Chunk chunk() throws IOException {
    int magic = in.readInt();
    if (magic != Nbd.EXTENDED_REPLY_MAGIC) {
      throw new IOException("reply magic: " + Integer.toHexString(magic));
    }
    int flags = in.readUnsignedShort();
    int type = in.readUnsignedShort();
    long cookie = in.readLong();
    long offset = in.readLong();
    return new Chunk(flags, type, cookie, offset, exactly(in, Math.toIntExact(in.readLong())));
  }

  static byte[] extended(
      int command, int flags, long cookie, long offset, long length, byte... payload) {
    return bytes(
        out -> {
          out.writeInt(Nbd.EXTENDED_REQUEST_MAGIC);
          out.writeShort(flags);
          out.writeShort(command);
          out.writeLong(cookie);
          out.writeLong(offset);
          out.writeLong(length);
          out.write(payload);
        });
  }

  interface Writer {
    void write(DataOutputStream out) throws IOException;
  }

  static byte[] bytes(Writer writer) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      writer.write(new DataOutputStream(bytes));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  static byte[] concat(byte[]... parts) {
    return bytes(
        out -> {
          for (byte[] part : parts) {
            out.write(part);
          }
        });
  }

  static byte[] option(int option, byte[]... parts) {
    byte[] data = concat(parts);
    return bytes(
        out -> {
          out.writeLong(Nbd.IHAVEOPT);
          out.writeInt(option);
          out.writeInt(data.length);
          out.write(data);
        });
  }

  static byte[] string(String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    return bytes(
        out -> {
          out.writeInt(utf8.length);
          out.write(utf8);
        });
  }

  /// The data of NBD_OPT_GO and NBD_OPT_INFO.
  static byte[] go(String name, int... types) {
    return bytes(
        out -> {
          out.write(string(name));
          out.writeShort(types.length);
          for (int type : types) {
            out.writeShort(type);
          }
        });
  }

  /// The data of the options for metadata contexts.
  static byte[] queries(String name, String... queries) {
    return bytes(
        out -> {
          out.write(string(name));
          out.writeInt(queries.length);
          for (String query : queries) {
            out.write(string(query));
          }
        });
  }

  static byte[] request(
      int command, int flags, long cookie, long offset, long length, byte... payload) {
    return bytes(
        out -> {
          out.writeInt(Nbd.REQUEST_MAGIC);
          out.writeShort(flags);
          out.writeShort(command);
          out.writeLong(cookie);
          out.writeLong(offset);
          out.writeInt((int) length);
          out.write(payload);
        });
  }

  static byte[] request(int command, long cookie, long offset, long length) {
    return request(command, 0, cookie, offset, length);
  }

  static byte[] write(long cookie, long offset, byte[] payload) {
    return request(Nbd.CMD_WRITE, 0, cookie, offset, payload.length, payload);
  }

  static byte[] disc() {
    return request(Nbd.CMD_DISC, 0, 0, 0);
  }

  static DataInputStream data(InputStream in) {
    return new DataInputStream(in);
  }
}
