// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import tools.jackson.databind.JsonNode;

/// A client that sends text as it is.
final class RawClient implements AutoCloseable {
  private final SocketChannel channel;
  private final BufferedReader lines;

  RawClient(Path path) throws IOException {
    channel = SocketChannel.open(UnixDomainSocketAddress.of(path));
    lines = new BufferedReader(Channels.newReader(channel, UTF_8));
  }

  /// One that has negotiated.
  static RawClient negotiated(Path path) throws IOException {
    RawClient client = new RawClient(path);
    assertTrue(client.receive().has("QMP"));
    assertTrue(client.ask("{'execute':'qmp_capabilities'}").path("return").isEmpty());
    return client;
  }

  void send(String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  JsonNode receive() throws IOException {
    String line = lines.readLine();
    if (line == null) {
      throw new IOException("the server closed");
    }
    return Json.parse(line.getBytes(UTF_8));
  }

  /// The answer's error text; fails when there is none.
  String refusal(String text) throws IOException {
    JsonNode answer = ask(text);
    assertTrue(answer.has("error"), answer.toString());
    return answer.path("error").path("desc").asString();
  }

  boolean isAtEnd() throws IOException {
    return lines.readLine() == null;
  }

  JsonNode ask(String text) throws IOException {
    send(text);
    return receive();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
