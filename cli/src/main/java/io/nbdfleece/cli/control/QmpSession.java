// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.DiskBusyException;
import io.nbdfleece.fleecing.NameTakenException;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.NoSuchSnapshotException;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// One client of the control socket: greeting, negotiation, commands one after the other. It owns
/// the channel. [#run] is called by one thread; [#close] by any, and ends it.
///
/// ```
///   connect ─▶ greeting ─▶ NEGOTIATING ──qmp_capabilities──▶ COMMANDS
/// ```
final class QmpSession implements AutoCloseable {
  static final String CAPABILITIES = "qmp_capabilities";
  private static final int READ_BYTES = 16 << 10;

  private final SocketChannel channel;
  private final QmpCommands commands;
  private final ControlTarget target;
  private final QmpLimits limits;
  // Whole messages only: answers come from the session's thread, events will come from others.
  private final ReentrantLock writing = new ReentrantLock();
  private boolean negotiated;

  QmpSession(SocketChannel channel, QmpCommands commands, ControlTarget target, QmpLimits limits) {
    this.channel = channel;
    this.commands = commands;
    this.target = target;
    this.limits = limits;
  }

  /// Serves until the client leaves or breaks a limit.
  void run() throws IOException {
    ObjectNode greeting = Json.object();
    ObjectNode hello = greeting.putObject("QMP");
    hello.set("version", VersionJson.of());
    hello.putArray("capabilities");
    send(greeting);

    JsonFramer framer = new JsonFramer(limits);
    ByteBuffer in = ByteBuffer.allocate(READ_BYTES);
    while (channel.read(in) >= 0) {
      in.flip();
      try {
        for (byte[] message : framer.feed(in)) {
          answer(message);
        }
      } catch (LimitPassed e) {
        send(error(QmpException.generic(Messages.of(e)), null));
        return;
      }
      in.clear();
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }

  private void answer(byte[] message) throws IOException {
    JsonNode id = null;
    try {
      ObjectNode request = parse(message);
      id = request.get("id");
      ObjectNode answer = Json.object();
      answer.set("return", execute(request));
      if (id != null) {
        answer.set("id", id);
      }
      send(answer);
      if (request.path("execute").asString("").equals(Quit.NAME)) {
        target.quit();
      }
    } catch (QmpException e) {
      send(error(e, id));
    }
  }

  private static ObjectNode parse(byte[] message) throws QmpException {
    JsonNode node;
    try {
      node = Json.parse(message);
    } catch (JacksonException e) {
      throw QmpException.generic("JSON parse error, " + e.getOriginalMessage());
    }
    if (!(node instanceof ObjectNode request)) {
      throw QmpException.generic("QMP input must be a JSON object");
    }
    return request;
  }

  private JsonNode execute(ObjectNode request) throws QmpException {
    for (String member : request.propertyNames()) {
      if (!member.equals("execute") && !member.equals("arguments") && !member.equals("id")) {
        throw QmpException.generic("QMP input member '" + member + "' is unexpected");
      }
    }
    JsonNode name = request.get("execute");
    if (name == null) {
      throw QmpException.generic("QMP input lacks member 'execute'");
    }
    if (!name.isString()) {
      throw QmpException.generic("QMP input member 'execute' must be a string");
    }
    JsonNode arguments = request.has("arguments") ? request.get("arguments") : Json.object();
    if (!(arguments instanceof ObjectNode object)) {
      throw QmpException.generic("QMP input member 'arguments' must be an object");
    }
    return execute(name.stringValue(), object);
  }

  private JsonNode execute(String name, ObjectNode arguments) throws QmpException {
    if (name.equals(CAPABILITIES)) {
      return negotiate(arguments);
    }
    if (!negotiated) {
      throw new QmpException(
          QmpException.ErrorClass.COMMAND_NOT_FOUND,
          "Expecting capabilities negotiation with '" + CAPABILITIES + "'");
    }
    QmpCommand command =
        commands
            .find(name)
            .orElseThrow(
                () ->
                    new QmpException(
                        QmpException.ErrorClass.COMMAND_NOT_FOUND,
                        "The command " + name + " has not been found"));
    try {
      return command.execute(new QmpArguments(arguments, command.arguments()), target);
    } catch (QmpException e) {
      throw e;
    } catch (IOException | IllegalArgumentException e) {
      throw new QmpException(QmpException.ErrorClass.GENERIC_ERROR, Messages.of(e), exitCodeOf(e));
    }
  }

  private JsonNode negotiate(ObjectNode arguments) throws QmpException {
    if (negotiated) {
      throw new QmpException(
          QmpException.ErrorClass.COMMAND_NOT_FOUND,
          "Capabilities negotiation is already complete, command ignored");
    }
    JsonNode enable = arguments.get("enable");
    if (enable != null && !enable.isEmpty()) {
      throw QmpException.generic(
          "Parameter 'enable' does not accept value '" + enable.get(0).asString() + "'");
    }
    negotiated = true;
    return Json.object();
  }

  private static ExitCode exitCodeOf(Exception e) {
    return switch (e) {
      case CommandFailure failure -> failure.code();
      case NoSuchDiskException _, NoSuchSnapshotException _ -> ExitCode.NOT_FOUND;
      case NameTakenException _, DiskBusyException _ -> ExitCode.BUSY;
      case BitmapException bitmap -> exitCodeOf(bitmap.reason());
      case IllegalArgumentException _ -> ExitCode.USAGE;
      default -> ExitCode.FAILED;
    };
  }

  private static ExitCode exitCodeOf(BitmapException.Reason reason) {
    return switch (reason) {
      case NOT_FOUND -> ExitCode.NOT_FOUND;
      case EXISTS, BUSY -> ExitCode.BUSY;
      case INCONSISTENT -> ExitCode.FULL_BACKUP_NEEDED;
      case INVALID -> ExitCode.USAGE;
      case UNSUPPORTED -> ExitCode.FAILED;
    };
  }

  private static ObjectNode error(QmpException e, @Nullable JsonNode id) {
    ObjectNode answer = Json.object();
    answer
        .putObject("error")
        .put("class", e.errorClass().wireName())
        .put("desc", e.getMessage())
        .put(QmpClient.EXIT_CODE, e.exitCode().number());
    if (id != null) {
      answer.set("id", id);
    }
    return answer;
  }

  private void send(ObjectNode message) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.wrap((Json.line(message) + "\r\n").getBytes(StandardCharsets.UTF_8));
    writing.lock();
    try {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    } finally {
      writing.unlock();
    }
  }
}
