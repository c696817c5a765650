// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.NbdUri;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;

/// A server that does what a test tells it, right or wrong, with bytes built by hand from the
/// specification: none of the product's constants or codecs. Each connection runs the script once,
/// on a thread of its own, and is closed at its end.
final class ScriptedServer implements AutoCloseable {
  /// Of the export that [Peer#handshake] offers.
  static final long SIZE_BYTES = 1 << 20;

  static final int SIMPLE_MAGIC = 0x67446698;
  static final int CHUNK_MAGIC = 0x668e33ef;
  static final int DONE = 1;

  private final ServerSocketChannel listener;
  private final Path socket;
  private final Script script;
  private final int sendBytesMax;
  private final AtomicInteger sentBytes = new AtomicInteger();
  private final AtomicInteger hangUpCount = new AtomicInteger();

  interface Script {
    void run(Peer peer) throws IOException, InterruptedException;
  }

  /// A request as it came.
  record ReceivedExtended(
      int flags, int command, long cookie, long offset, long length, ByteBuffer payload) {}

  /// A request as it came.
  record Received(int flags, int command, long cookie, long offset, int length, ByteBuffer data) {}

  ScriptedServer(Path directory, Script script) throws IOException {
    this(directory, Integer.MAX_VALUE, script);
  }

  /// @param sendBytesMax closes the connection instead of sending more than this
  ScriptedServer(Path directory, int sendBytesMax, Script script) throws IOException {
    this.script = script;
    this.sendBytesMax = sendBytesMax;
    socket = directory.resolve("scripted.sock");
    Files.deleteIfExists(socket);
    listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    listener.bind(UnixDomainSocketAddress.of(socket));
    Thread.ofPlatform().daemon().name("scripted-server").start(this::accept);
  }

  private void accept() {
    while (listener.isOpen()) {
      try (SocketChannel connection = listener.accept()) {
        script.run(new Peer(connection));
      } catch (IOException e) {
        // The client hung up, which is its right, or the test is over.
        hangUpCount.incrementAndGet();
      } catch (InterruptedException e) {
        throw new AssertionError("nobody interrupts a script", e);
      }
    }
  }

  NbdUri uri() {
    return new NbdUri.Unix(socket, "disk");
  }

  /// Does not ask for extended headers.
  NbdClient connect(String... contexts) throws IOException {
    return NbdClient.connect(
        uri(),
        ClientOptions.defaults()
            .withContexts(List.of(contexts))
            .withExtendedHeaders(ClientOptions.ExtendedHeaders.NEVER));
  }

  NbdClient connectExtended(String... contexts) throws IOException {
    return NbdClient.connect(uri(), ClientOptions.defaults().withContexts(List.of(contexts)));
  }

  /// Waits until the first client has hung up.
  void awaitHangUp() {
    Awaitility.await().until(() -> hangUpCount.get() > 0);
  }

  /// Bytes sent over the last connection.
  int sentBytes() {
    return sentBytes.get();
  }

  @Override
  public void close() {
    try {
      listener.close();
      Files.deleteIfExists(socket);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /// Big-endian bytes, in order.
  static final class Bytes {
    private final ByteBuffer buffer = ByteBuffer.allocate(1 << 18);

    Bytes u16(int value) {
      buffer.putShort((short) value);
      return this;
    }

    Bytes u32(long value) {
      buffer.putInt((int) value);
      return this;
    }

    Bytes u64(long value) {
      buffer.putLong(value);
      return this;
    }

    Bytes raw(byte[] value) {
      buffer.put(value);
      return this;
    }

    Bytes text(String value) {
      return raw(value.getBytes(UTF_8));
    }

    byte[] array() {
      byte[] bytes = new byte[buffer.position()];
      buffer.get(0, bytes);
      return bytes;
    }
  }

  static Bytes bytes() {
    return new Bytes();
  }

  static byte[] chunk(int flags, int type, long cookie, byte[] payload) {
    return chunkHeader(flags, type, cookie, payload.length).raw(payload).array();
  }

  static Bytes chunkHeader(int flags, int type, long cookie, long length) {
    return bytes().u32(CHUNK_MAGIC).u16(flags).u16(type).u64(cookie).u32(length);
  }

  static byte[] extendedChunk(int flags, int type, long cookie, long offset, byte[] payload) {
    return extendedHeader(flags, type, cookie, offset, payload.length).raw(payload).array();
  }

  static Bytes extendedHeader(int flags, int type, long cookie, long offset, long length) {
    return bytes().u32(0x6e8a278c).u16(flags).u16(type).u64(cookie).u64(offset).u64(length);
  }

  static byte[] simple(int error, long cookie) {
    return bytes().u32(SIMPLE_MAGIC).u32(error).u64(cookie).array();
  }

  static byte[] dataChunk(int flags, long cookie, long offset, byte[] data) {
    return chunk(flags, 1, cookie, bytes().u64(offset).raw(data).array());
  }

  static byte[] holeChunk(int flags, long cookie, long offset, long length) {
    return chunk(flags, 2, cookie, bytes().u64(offset).u32(length).array());
  }

  static byte[] errorChunk(int flags, long cookie, int error, String text) {
    int length = text.getBytes(UTF_8).length;
    return chunk(flags, 0x8001, cookie, bytes().u32(error).u16(length).text(text).array());
  }

  static byte[] doneChunk(long cookie) {
    return chunk(DONE, 0, cookie, new byte[0]);
  }

  static byte[] optionReply(int option, int type, byte[] payload) {
    return bytes()
        .u64(0x3e889045565a9L)
        .u32(option)
        .u32(type)
        .u32(payload.length)
        .raw(payload)
        .array();
  }

  static byte[] exportInfo(long size, int flags) {
    return optionReply(7, 3, bytes().u16(0).u64(size).u16(flags).array());
  }

  /// One connection, from the server's side.
  final class Peer {
    private final SocketChannel connection;

    private Peer(SocketChannel connection) {
      this.connection = connection;
      sentBytes.set(0);
    }

    void send(byte[] bytes) throws IOException {
      int length = Math.min(bytes.length, sendBytesMax - sentBytes.get());
      sentBytes.addAndGet(length); // first: who has received them finds them counted
      ByteBuffer buffer = ByteBuffer.wrap(bytes, 0, length);
      while (buffer.hasRemaining()) {
        connection.write(buffer);
      }
      if (length < bytes.length) {
        throw new EOFException("cut");
      }
    }

    ByteBuffer receive(int byteCount) throws IOException {
      ByteBuffer buffer = ByteBuffer.allocate(byteCount);
      while (buffer.hasRemaining()) {
        if (connection.read(buffer) < 0) {
          throw new EOFException("client closed");
        }
      }
      return buffer.flip();
    }

    Received request() throws IOException {
      ByteBuffer header = receive(28);
      if (header.getInt() != 0x25609513) {
        throw new EOFException("not a request");
      }
      int flags = header.getShort();
      int command = header.getShort();
      long cookie = header.getLong();
      long offset = header.getLong();
      int length = header.getInt();
      ByteBuffer data = receive(command == 1 ? length : 0);
      return new Received(flags, command, cookie, offset, length, data);
    }

    /// A request with an extended header.
    ReceivedExtended extendedRequest() throws IOException {
      ByteBuffer header = receive(32);
      if (header.getInt() != 0x21e41c71) {
        throw new EOFException("not an extended request");
      }
      int flags = header.getShort();
      int command = header.getShort();
      long cookie = header.getLong();
      long offset = header.getLong();
      long length = header.getLong();
      ByteBuffer payload = receive((flags & 1 << 5) != 0 ? (int) length : 0);
      return new ReceivedExtended(flags, command, cookie, offset, length, payload);
    }

    List<Received> requests(int count) throws IOException {
      List<Received> requests = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        requests.add(request());
      }
      return requests;
    }

    /// NBDMAGIC IHAVEOPT, fixed newstyle without zeroes.
    void greet() throws IOException {
      send(bytes().text("NBDMAGICIHAVEOPT").u16(3).array());
      receive(4);
    }

    /// Awaits one option and throws its payload away.
    int option() throws IOException {
      ByteBuffer header = receive(16);
      int option = header.getInt(8);
      receive(header.getInt(12));
      return option;
    }

    /// Answers options until GO succeeds, without structured replies.
    void simpleHandshake() throws IOException {
      handshake(0x80000001, List.of());
    }

    /// Answers options until GO succeeds; context number n of the list gets the id n + 1.
    void handshake(String... contexts) throws IOException {
      handshake(1, List.of(contexts));
    }

    /// Agrees to extended headers and block status payloads, and answers until GO succeeds.
    void extendedHandshake(String... contexts) throws IOException {
      greet();
      for (int option = option(); option != 7; option = option()) {
        if (option == 9 || option == 10) {
          for (int i = 0; i < contexts.length; i++) {
            send(optionReply(option, 4, bytes().u32(i + 1L).text(contexts[i]).array()));
          }
        }
        send(optionReply(option, 1, new byte[0]));
      }
      send(exportInfo(1L << 50, 0x1d6d & ~2));
      send(optionReply(7, 1, new byte[0]));
    }

    private void handshake(int structuredAnswer, List<String> contexts) throws IOException {
      greet();
      int option = option();
      for (; option != 7; option = option()) {
        if (option == 8) {
          send(optionReply(8, structuredAnswer, new byte[0]));
        } else if (option == 11) {
          send(optionReply(11, 0x80000001, new byte[0]));
        } else {
          for (int i = 0; i < contexts.size(); i++) {
            send(optionReply(option, 4, bytes().u32(i + 1L).text(contexts.get(i)).array()));
          }
          send(optionReply(option, 1, new byte[0]));
        }
      }
      send(exportInfo(SIZE_BYTES, 0xd6d & ~2));
      send(optionReply(7, 1, new byte[0]));
    }

    /// Reads until the client closes.
    void awaitClose() throws IOException {
      while (true) {
        receive(1);
      }
    }
  }
}
