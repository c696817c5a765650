// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cli.base.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import tools.jackson.databind.JsonNode;

/// A control socket that answers what it was told to, one client after the other, and records what
/// it was asked. An answer may be several messages, events before it.
final class ScriptedControl implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(ScriptedControl.class.getName());

  final List<JsonNode> requests = new CopyOnWriteArrayList<>();
  private final Deque<String> answers;
  private final ServerSocketChannel server;
  private final Path path;

  ScriptedControl(Path path, String... answers) throws IOException {
    this.path = path;
    this.answers = new ArrayDeque<>(List.of(answers));
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(path));
    Thread.ofPlatform().daemon().name("scripted-control").start(this::serve);
  }

  String path() {
    return path.toString();
  }

  /// What was asked, without the negotiation, one line each.
  List<String> asked() {
    return requests.stream().map(Json::line).toList();
  }

  private void serve() {
    try {
      while (true) {
        SocketChannel client = server.accept();
        try (client) {
          serve(client);
        } catch (IOException e) {
          LOG.log(System.Logger.Level.DEBUG, "a client left before it had been answered", e);
        }
      }
    } catch (ClosedChannelException e) {
      assert !server.isOpen();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void serve(SocketChannel client) throws IOException {
    BufferedReader in = new BufferedReader(Channels.newReader(client, UTF_8));
    send(client, "{'QMP':{'version':{},'capabilities':[]}}");
    send(client, in.readLine() == null ? "" : "{'return':{}}");
    if (answers.isEmpty() || answers.peekFirst().contains("SHUTDOWN")) {
      send(client, answers.isEmpty() ? "" : answers.removeFirst());
      return;
    }
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      requests.add(Json.parse(line.getBytes(UTF_8)));
      send(client, answers.isEmpty() ? "{'return':{}}" : answers.removeFirst());
    }
  }

  private static void send(SocketChannel client, String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap((text + "\r\n").getBytes(UTF_8));
    while (bytes.hasRemaining()) {
      int _ = client.write(bytes);
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
  }
}
