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

  static ControlSocket connect(Path path) throws IOException {
    ControlSocket control = new ControlSocket(SocketChannel.open(UnixDomainSocketAddress.of(path)));
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
    ByteBuffer bytes = StandardCharsets.UTF_8.encode(request + "\n");
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
    JsonNode answer = receive();
    while (answer.has("event")) {
      answer = receive();
    }
    if (answer.has("error")) {
      throw new IOException(command + ": " + answer.path("error").path("desc").asString());
    }
    return answer.path("return");
  }

  private JsonNode receive() throws IOException {
    String line = lines.readLine();
    if (line == null) {
      throw new IOException("the server closed the control socket");
    }
    return Command.parse(line);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
