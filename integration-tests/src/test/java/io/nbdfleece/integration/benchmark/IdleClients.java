// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// Clients that have opened an export and ask for nothing.
final class IdleClients implements AutoCloseable {
  private static final long IHAVEOPT = 0x49484156454F5054L;
  private static final int GREETING_BYTES = 18;
  private static final int REPLY_BYTES = 20;
  private static final int OPTION_GO = 7;
  private static final int REPLY_ACK = 1;
  private static final int REPLY_INFO = 3;

  private final List<SocketChannel> channels = new ArrayList<>();

  /// Returns when all of them have it open.
  static IdleClients open(Address address, String export, int count) throws IOException {
    IdleClients clients = new IdleClients();
    try {
      for (int i = 0; i < count; i++) {
        SocketChannel channel = address.connect();
        clients.channels.add(channel);
        negotiate(channel, export);
      }
      return clients;
    } catch (IOException e) {
      clients.close();
      throw new IOException("client " + clients.channels.size() + ": " + e.getMessage(), e);
    }
  }

  private static void negotiate(SocketChannel channel, String export) throws IOException {
    ByteBuffer _ = read(channel, GREETING_BYTES);
    byte[] name = export.getBytes(StandardCharsets.UTF_8);
    ByteBuffer go = ByteBuffer.allocate(4 + 8 + 4 + 4 + 4 + name.length + 2);
    // Fixed newstyle and no zeroes.
    go.putInt(3).putLong(IHAVEOPT).putInt(OPTION_GO).putInt(4 + name.length + 2);
    go.putInt(name.length).put(name).putShort((short) 0).flip();
    while (go.hasRemaining()) {
      int _ = channel.write(go);
    }
    int type;
    do {
      ByteBuffer reply = read(channel, REPLY_BYTES);
      type = reply.getInt(12);
      ByteBuffer _ = read(channel, reply.getInt(16));
      if (type != REPLY_ACK && type != REPLY_INFO) {
        throw new IOException("refused with reply " + Integer.toHexString(type));
      }
    } while (type != REPLY_ACK);
  }

  private static ByteBuffer read(SocketChannel channel, int count) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(count);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer) < 0) {
        throw new EOFException("the server hung up");
      }
    }
    return buffer.flip();
  }

  @Override
  public void close() throws IOException {
    for (SocketChannel channel : channels) {
      channel.close();
    }
  }
}
