// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.control.QmpClient;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Sends commands to a control socket and shows the answers.
public final class QmpShell {
  private static final long ANSWER_TICK_MILLIS = 200;

  private final QmpClient client;
  private final PrintStream out;

  public QmpShell(QmpClient client, PrintStream out) {
    this.client = client;
    this.out = out;
  }

  /// Runs one command and prints what it returns. Fails as the command does.
  public void one(List<String> words) throws IOException {
    print(ShellSyntax.words(words));
  }

  /// Runs the commands of a script, a line each, up to the first that fails.
  public void script(BufferedReader lines) throws IOException {
    ShellSyntax syntax = new ShellSyntax();
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Optional<ObjectNode> request = syntax.line(line);
      if (request.isPresent()) {
        print(request.get());
      }
    }
    if (syntax.isInTransaction()) {
      throw new CommandFailure(
          ExitCode.USAGE, "transaction( is not closed: nothing of it was sent: end it with )");
    }
  }

  private void print(ObjectNode request) throws IOException {
    ObjectNode answer = QmpClient.checked(client.ask(request));
    out.println(Json.pretty(answer.path("return")));
  }

  /// Talks with a person on a terminal until Ctrl-D or the server's end; events are shown as they
  /// come.
  ///
  /// @param place the control socket, for the greeting
  /// @param history where lines are remembered
  public void interactive(Path place, Path history) throws IOException {
    JsonNode version = client.execute("query-version", Json.object());
    CommandWords commands = CommandWords.ask(client);
    try (LineEditor editor = LineEditor.open(history, commands)) {
      editor.println(
          version.path("package").asString()
              + " at "
              + place
              + "; TAB completes, Ctrl-D ends\n"
              + "e.g.: block-dirty-bitmap-add node=vda name=b0");
      BlockingQueue<Message> answers = new LinkedBlockingQueue<>();
      Thread receiver =
          Thread.ofPlatform().daemon().name("qmp-receive").start(() -> receive(editor, answers));
      converse(editor, answers, receiver);
    }
  }

  private void converse(LineEditor editor, BlockingQueue<Message> answers, Thread receiver)
      throws IOException {
    ShellSyntax syntax = new ShellSyntax();
    while (true) {
      Optional<String> line = editor.readLine(syntax.isInTransaction() ? "TRANS> " : "(QMP) ");
      if (line.isEmpty()) {
        return;
      }
      try {
        Optional<ObjectNode> request =
            LineEditor.INTERRUPTED.equals(line.get())
                ? abandon(syntax, answers)
                : syntax.line(line.get());
        if (request.isPresent()) {
          client.send(request.get());
          editor.println(Json.pretty(answer(answers, receiver)));
        }
      } catch (CommandFailure e) {
        if (e.code() != ExitCode.USAGE) {
          throw e;
        }
        editor.println(Messages.of(e));
      }
    }
  }

  private static Optional<ObjectNode> abandon(ShellSyntax syntax, BlockingQueue<Message> answers)
      throws IOException {
    if (answers.poll() instanceof Message.End(IOException error)) {
      throw error;
    }
    syntax.reset();
    return Optional.empty();
  }

  private void receive(LineEditor editor, BlockingQueue<Message> answers) {
    try {
      while (true) {
        ObjectNode message = client.receive();
        if (message.has("event")) {
          editor.printAbove(EventText.of(message));
        } else {
          answers.add(new Message.Answer(message));
        }
      }
    } catch (IOException e) {
      answers.add(new Message.End(e));
      editor.interrupt();
    }
  }

  private static ObjectNode answer(BlockingQueue<Message> answers, Thread receiver)
      throws IOException {
    try {
      while (true) {
        Message message = answers.poll(ANSWER_TICK_MILLIS, TimeUnit.MILLISECONDS);
        switch (message) {
          case Message.Answer(ObjectNode answer) -> {
            return answer;
          }
          case Message.End(IOException error) -> throw error;
          case null -> {
            if (!receiver.isAlive() && answers.isEmpty()) {
              throw new IOException("internal error: nobody receives");
            }
          }
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  /// What the receiving thread has for the other.
  private sealed interface Message {
    record Answer(ObjectNode answer) implements Message {}

    record End(IOException error) implements Message {}
  }
}
