// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// One client of the control socket: greeting, negotiation, then commands one after the other, and
/// events. It owns the channel. [#run] is called by one thread; [#close] by any, and ends it.
///
/// ```
///   connect ─▶ greeting ─▶ NEGOTIATING ──qmp_capabilities──▶ COMMANDS, events
/// ```
final class QmpSession implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("nbdfleece.control");
  private static final int READ_BYTES = 16 << 10;

  /// For a client that has not read its last answers when it ends.
  private static final Duration FLUSH = Duration.ofSeconds(5);

  private final SocketChannel channel;
  private final QmpCommands commands;
  private final ControlTarget target;
  private final QmpLimits limits;
  private final Ending ending;
  private final Outbox outbox;
  private final Consumer<ByteBuffer> follower = this::tell;
  private boolean negotiated;

  QmpSession(
      SocketChannel channel,
      QmpCommands commands,
      ControlTarget target,
      QmpLimits limits,
      Ending ending) {
    this.channel = channel;
    this.commands = commands;
    this.target = target;
    this.limits = limits;
    this.ending = ending;
    this.outbox = new Outbox(channel, limits);
  }

  /// What `quit` does: QEMU tells of it before it answers, and goes on afterwards.
  interface Ending {
    void announce();

    void begin();
  }

  /// Serves until the client leaves or breaks a limit.
  void run() throws IOException {
    Thread.ofPlatform()
        .daemon()
        .name(Thread.currentThread().getName() + "-write")
        .start(this::write);
    try {
      greet();
      serve();
    } finally {
      target.events().unfollow(follower);
      outbox.flush(FLUSH);
    }
  }

  private void greet() throws IOException {
    ObjectNode greeting = Json.object();
    ObjectNode hello = greeting.putObject("QMP");
    hello.set("version", VersionJson.of());
    hello.putArray("capabilities");
    outbox.answer(greeting);
  }

  private void serve() throws IOException {
    JsonFramer framer = new JsonFramer(limits);
    ByteBuffer in = ByteBuffer.allocate(READ_BYTES);
    while (channel.read(in) >= 0) {
      in.flip();
      try {
        for (byte[] message : framer.feed(in)) {
          answer(message);
        }
      } catch (LimitPassed e) {
        outbox.answer(error(QmpException.usage(Messages.of(e)), null));
        return;
      }
      in.clear();
    }
  }

  private void write() {
    try {
      outbox.writeAll();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "control socket: nothing more to write: {0}", e.getMessage());
    }
  }

  private void tell(ByteBuffer event) {
    try {
      if (!outbox.offer(event)) {
        LOG.log(
            Level.WARNING,
            "control socket: a client was dropped: it does not read; {0} bytes of answers and"
                + " events are as many as may wait for it",
            limits.unreadBytesMax());
      }
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "control socket: cannot drop a client: {0}", e.getMessage());
    }
  }

  /// Ends once the client has read what waits, or after `patience`. Any thread.
  void end(Duration patience) throws IOException {
    outbox.flush(patience);
    close();
  }

  @Override
  public void close() throws IOException {
    outbox.close();
  }

  private void answer(byte[] message) throws IOException {
    JsonNode id = null;
    try {
      ObjectNode object = QmpRequest.parse(message);
      id = object.get("id");
      QmpRequest request = QmpRequest.of(object);
      ObjectNode answer = Json.object();
      answer.set("return", execute(request));
      if (id != null) {
        answer.set("id", id);
      }
      if (request.command().equals(Quit.NAME)) {
        ending.announce();
      }
      outbox.answer(answer);
      switch (request.command()) {
        case QmpCapabilities.NAME -> target.events().follow(follower);
        case Quit.NAME -> ending.begin();
        default -> {}
      }
    } catch (QmpException e) {
      outbox.answer(error(e, id));
    }
  }

  private JsonNode execute(QmpRequest request) throws QmpException {
    boolean negotiates = request.command().equals(QmpCapabilities.NAME);
    if (negotiates && negotiated) {
      throw QmpException.noCommand("Capabilities negotiation is already complete, command ignored");
    }
    if (!negotiates && !negotiated) {
      throw QmpException.noCommand(
          "Expecting capabilities negotiation with '" + QmpCapabilities.NAME + "'");
    }
    QmpCommand command =
        commands
            .find(request.command())
            .orElseThrow(
                () ->
                    QmpException.noCommand(
                        "The command " + request.command() + " has not been found"));
    JsonNode answer = execute(command, request.arguments());
    negotiated = true;
    return answer;
  }

  private JsonNode execute(QmpCommand command, ObjectNode arguments) throws QmpException {
    try {
      return command.execute(new QmpArguments(arguments, command.arguments()), target);
    } catch (QmpException e) {
      throw e;
    } catch (BitmapException e) {
      throw new QmpException(
          QmpException.ErrorClass.GENERIC_ERROR, Messages.of(e), FailureCode.of(e), e.hint());
    } catch (PosixException e) {
      throw new QmpException(
          QmpException.ErrorClass.GENERIC_ERROR,
          Messages.of(e),
          FailureCode.of(e),
          e.isNoRoom() ? Optional.of("free space there, and try again") : Optional.empty());
    } catch (IOException | IllegalArgumentException e) {
      throw QmpException.generic(Messages.of(e), FailureCode.of(e));
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "control socket: " + command.name() + " failed", e);
      throw QmpException.generic(command.name() + ": internal error: see the server's log");
    }
  }

  private static ObjectNode error(QmpException e, @Nullable JsonNode id) {
    ObjectNode answer = e.json();
    if (id != null) {
      answer.set("id", id);
    }
    return answer;
  }
}
