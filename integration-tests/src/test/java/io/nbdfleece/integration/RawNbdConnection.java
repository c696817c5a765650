// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// A client that behaves badly on purpose: it sends exactly what a test says and reads only when
/// told to. Negotiates with NBD_OPT_EXPORT_NAME, so replies are simple ones.
final class RawNbdConnection implements AutoCloseable {
  private static final long IHAVEOPT = 0x49484156454F5054L;
  private static final int REQUEST_MAGIC = 0x25609513;
  private static final int REQUEST_BYTES = 28;
  private static final int READ = 0;
  private static final int WRITE = 1;

  private final SocketChannel channel;
  private long cookie;

  private RawNbdConnection(SocketChannel channel) {
    this.channel = channel;
  }

  static RawNbdConnection open(Path socket, String exportName) throws IOException {
    RawNbdConnection connection =
        new RawNbdConnection(SocketChannel.open(UnixDomainSocketAddress.of(socket)));
    ByteBuffer _ = connection.receive(18);
    byte[] name = exportName.getBytes(StandardCharsets.UTF_8);
    ByteBuffer hello = ByteBuffer.allocate(20 + name.length);
    // Fixed newstyle and no 124 zeroes; then the option.
    hello.putInt(3).putLong(IHAVEOPT).putInt(1).putInt(name.length).put(name).flip();
    connection.send(hello);
    ByteBuffer _ = connection.receive(10);
    return connection;
  }

  /// Sends a read request and does not wait for its reply.
  void requestRead(long offsetBytes, int lengthBytes) throws IOException {
    send(request(READ, offsetBytes, lengthBytes, 0).flip());
  }

  /// Sends a write request with only the first bytes of its payload.
  void sendPartOfWrite(long offsetBytes, int lengthBytes, ByteBuffer part) throws IOException {
    send(request(WRITE, offsetBytes, lengthBytes, part.remaining()).put(part).flip());
  }

  ByteBuffer receive(int lengthBytes) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(lengthBytes);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes) < 0) {
        throw new IOException("the server closed the connection");
      }
    }
    return bytes.flip();
  }

  private ByteBuffer request(int command, long offsetBytes, int lengthBytes, int payloadBytes) {
    return ByteBuffer.allocate(REQUEST_BYTES + payloadBytes)
        .putInt(REQUEST_MAGIC)
        .putShort((short) 0)
        .putShort((short) command)
        .putLong(++cookie)
        .putLong(offsetBytes)
        .putInt(lengthBytes);
  }

  private void send(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      int _ = channel.write(bytes);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
