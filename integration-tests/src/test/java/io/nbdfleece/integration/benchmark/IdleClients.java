// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/// Clients that have opened an export and ask for nothing.
final class IdleClients implements AutoCloseable {
  private static final long IHAVEOPT = 0x49484156454F5054L;
  private static final int GREETING_BYTES = 18;
  private static final int REPLY_BYTES = 20;
  private static final int OPTION_GO = 7;
  private static final int REPLY_ACK = 1;
  private static final int REPLY_INFO = 3;

  private static final int OPEN_SECONDS_MAX = 60;

  private final List<SocketChannel> channels = new CopyOnWriteArrayList<>();

  /// Returns when all of them have it open. Fails when the server refuses one or lets it wait.
  static IdleClients open(Address address, String export, int count) throws IOException {
    IdleClients clients = new IdleClients();
    CompletableFuture<IdleClients> opened = new CompletableFuture<>();
    var _ =
        opened
            .orTimeout(OPEN_SECONDS_MAX, TimeUnit.SECONDS)
            .exceptionally(
                _ -> {
                  // What waits for a server that does not answer is woken up by it.
                  clients.close();
                  return clients;
                });
    try {
      for (int i = 0; i < count && !opened.isDone(); i++) {
        SocketChannel channel = address.connect();
        clients.channels.add(channel);
        negotiate(channel, export);
      }
      if (!opened.complete(clients)) {
        throw new IOException("not opened within " + OPEN_SECONDS_MAX + " s");
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
  public void close() {
    for (SocketChannel channel : channels) {
      try {
        channel.close();
      } catch (IOException e) {
        // It was of no use any more.
        System.err.println("bench: " + e.getMessage());
      }
    }
  }
}
