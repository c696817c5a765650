// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A QMP client written for the tests. For one thread.
final class ControlSocket implements AutoCloseable {
  private final SocketChannel channel;
  private final BufferedReader lines;

  private ControlSocket(SocketChannel channel) {
    this.channel = channel;
    lines = new BufferedReader(Channels.newReader(channel, StandardCharsets.UTF_8));
  }

  /// Only connects: the greeting is the first message.
  static ControlSocket open(Path path) throws IOException {
    return new ControlSocket(SocketChannel.open(UnixDomainSocketAddress.of(path)));
  }

  /// Connects, takes the greeting, negotiates.
  static ControlSocket connect(Path path) throws IOException {
    ControlSocket control = open(path);
    JsonNode greeting = control.receive();
    if (!greeting.has("QMP")) {
      throw new IOException("no QMP greeting: " + greeting);
    }
    JsonNode _ = control.execute("qmp_capabilities", object());
    return control;
  }

  static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  /// What stands in `return`; an error answer is an IOException with its text.
  JsonNode execute(String command, ObjectNode arguments) throws IOException {
    ObjectNode request = object().put("execute", command);
    request.set("arguments", arguments);
    send(request.toString());
    JsonNode answer = receive();
    while (answer.has("event")) {
      answer = receive();
    }
    if (answer.has("error")) {
      throw new IOException(command + ": " + answer.path("error").path("desc").asString());
    }
    return answer.path("return");
  }

  /// Sends the text and a line feed.
  void send(String text) throws IOException {
    ByteBuffer bytes = StandardCharsets.UTF_8.encode(text + "\n");
    while (bytes.hasRemaining()) {
      int _ = channel.write(bytes);
    }
  }

  /// The next message, whatever it is.
  JsonNode receive() throws IOException {
    return receiveOrEnd()
        .orElseThrow(() -> new IOException("the server closed the control socket"));
  }

  /// The next message, or nothing when the server has closed.
  Optional<JsonNode> receiveOrEnd() throws IOException {
    return Optional.ofNullable(lines.readLine()).map(Command::parse);
  }

  /// The data of the next event of that name. Everything else that comes before it is left out.
  JsonNode awaitEvent(String name) throws IOException {
    JsonNode message = receive();
    while (!message.path("event").asString("").equals(name)) {
      message = receive();
    }
    return message.path("data");
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
