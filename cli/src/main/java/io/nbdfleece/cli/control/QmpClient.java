// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A client of the control socket, for one thread, or for one that sends and one that receives.
public final class QmpClient implements AutoCloseable {
  /// Member of an error that tells a command line client how to end.
  static final String EXIT_CODE = "x-nbdfleece-exit-code";

  /// Member of an error that tells people what to do about it.
  static final String HINT = "x-nbdfleece-hint";

  private static final int READ_BYTES = 16 << 10;
  // A server's answer may be long (many snapshots), but not without end.
  private static final QmpLimits LIMITS = new QmpLimits(64 << 20, Json.DEPTH_MAX, 1);

  private final SocketChannel channel;
  private final Path path;
  private final JsonFramer framer = new JsonFramer(LIMITS);
  private final Deque<byte[]> received = new ArrayDeque<>();

  private QmpClient(SocketChannel channel, Path path) {
    this.channel = channel;
    this.path = path;
  }

  /// Connects and negotiates. Fails with [ExitCode#UNREACHABLE] when nobody listens there, with a
  /// [QmpException] when the server does not want us.
  public static QmpClient connect(Path path) throws IOException {
    SocketChannel channel;
    try {
      channel = SocketChannel.open(UnixDomainSocketAddress.of(path));
    } catch (IOException e) {
      throw new CommandFailure(
          ExitCode.UNREACHABLE,
          "server not reachable, "
              + path
              + ": "
              + e.getMessage()
              + ": start it with `nbdfleece serve`, or name its control socket with --qmp PATH",
          e);
    }
    QmpClient client = new QmpClient(channel, path);
    try {
      if (!checked(client.receive()).has("QMP")) {
        throw client.noQmp("no QMP greeting");
      }
      ObjectNode _ = client.exchange(QmpCapabilities.NAME, Json.object());
      return client;
    } catch (IOException e) {
      client.close();
      throw e;
    }
  }

  /// Runs one command and returns what stands in `return`. Fails with a [QmpException] when the
  /// server refuses it.
  public JsonNode execute(String command, ObjectNode arguments) throws IOException {
    JsonNode value = exchange(command, arguments).get("return");
    return value == null ? Json.object() : value;
  }

  private ObjectNode exchange(String command, ObjectNode arguments) throws IOException {
    ObjectNode request = Json.object().put("execute", command);
    request.set("arguments", arguments);
    return checked(ask(request));
  }

  /// Sends a command as it stands and returns the answer as it stands. Events on the way to it are
  /// dropped.
  public ObjectNode ask(ObjectNode request) throws IOException {
    send(request);
    ObjectNode answer = receive();
    while (answer.has("event")) {
      answer = receive();
    }
    return answer;
  }

  /// The answer, unless it is an error: then fails with it.
  public static ObjectNode checked(ObjectNode answer) throws QmpException {
    JsonNode error = answer.get("error");
    if (error != null) {
      throw new QmpException(
          QmpException.ErrorClass.GENERIC_ERROR,
          withHint(error.path("desc").asString("no description"), error.path(HINT)),
          ExitCode.ofNumber(error.path(EXIT_CODE).asInt(ExitCode.FAILED.number())));
    }
    return answer;
  }

  private static String withHint(String description, JsonNode hint) {
    return hint.isString() ? description + ": " + hint.stringValue() : description;
  }

  /// Sends a command. One thread may send while another one receives.
  public void send(ObjectNode request) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.wrap((Json.line(request) + "\n").getBytes(StandardCharsets.UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /// Waits for the next message, an answer or an event.
  public ObjectNode receive() throws IOException {
    ByteBuffer in = ByteBuffer.allocate(READ_BYTES);
    while (received.isEmpty()) {
      if (channel.read(in) < 0) {
        throw new CommandFailure(
            ExitCode.UNREACHABLE,
            "server gone, " + path + ": it closed the control socket: see its log");
      }
      in.flip();
      received.addAll(framer.feed(in));
      in.clear();
    }
    try {
      if (Json.parse(received.removeFirst()) instanceof ObjectNode message) {
        return message;
      }
      throw noQmp("not a JSON object");
    } catch (JacksonException e) {
      throw noQmp(Json.fault(e));
    }
  }

  private CommandFailure noQmp(String what) {
    return new CommandFailure(
        ExitCode.UNREACHABLE,
        "control socket, " + path + ": does not speak QMP (" + what + "): check --qmp PATH");
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
