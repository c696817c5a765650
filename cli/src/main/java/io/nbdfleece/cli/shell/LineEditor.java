// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jline.reader.Candidate;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.ParsedLine;
import org.jline.reader.UserInterruptException;
import org.jline.reader.impl.DefaultParser;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;

/// A line of input on a terminal, with history and completion. One thread reads lines, any may
/// print.
final class LineEditor implements AutoCloseable {
  /// Stands for Ctrl-C, which abandons a line.
  static final String INTERRUPTED = "\u0003";

  private static final int HISTORY_LINES_MAX = 1000;

  private final Terminal terminal;
  private final LineReader reader;

  private LineEditor(Terminal terminal, LineReader reader) {
    this.terminal = terminal;
    this.reader = reader;
  }

  /// Takes the terminal over.
  ///
  /// @param history file that remembers lines; without it if its directory cannot be made
  static LineEditor open(Path history, CommandWords words) throws IOException {
    Terminal terminal = TerminalBuilder.builder().system(true).build();
    LineReaderBuilder builder =
        LineReaderBuilder.builder()
            .terminal(terminal)
            .appName("nbdfleece")
            .parser(new DefaultParser().quoteChars(new char[0]).escapeChars(new char[0]))
            .completer((reader, line, candidates) -> complete(line, words, candidates))
            .variable(LineReader.HISTORY_SIZE, HISTORY_LINES_MAX)
            .variable(LineReader.HISTORY_FILE_SIZE, HISTORY_LINES_MAX)
            .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
            .option(LineReader.Option.HISTORY_TIMESTAMPED, false);
    try {
      Path directory = history.toAbsolutePath().getParent();
      if (directory != null) {
        Files.createDirectories(
            directory,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      }
      builder.variable(LineReader.HISTORY_FILE, history);
    } catch (IOException e) {
      terminal.writer().println("no history: " + Messages.of(e));
    }
    return new LineEditor(terminal, builder.build());
  }

  private static void complete(ParsedLine line, CommandWords words, List<Candidate> candidates) {
    List<String> typed = new ArrayList<>(line.words().subList(0, line.wordIndex()));
    typed.add(line.word().substring(0, line.wordCursor()));
    for (String word : words.candidates(typed)) {
      boolean goesOn = word.endsWith("=") || word.endsWith(".");
      candidates.add(new Candidate(word, word, null, null, null, null, !goesOn));
    }
  }

  /// The next line, [#INTERRUPTED] for Ctrl-C, empty for Ctrl-D.
  Optional<String> readLine(String prompt) {
    try {
      return Optional.of(reader.readLine(prompt));
    } catch (UserInterruptException e) {
      return Optional.of(INTERRUPTED);
    } catch (EndOfFileException e) {
      return Optional.empty();
    }
  }

  /// Prints where the cursor is: between two lines of input.
  void println(String text) {
    terminal.writer().println(text);
    terminal.flush();
  }

  /// Prints above the line that is being typed.
  void printAbove(String text) {
    reader.printAbove(text);
  }

  /// Has the thread that reads a line come back as if Ctrl-C had been typed.
  void interrupt() {
    terminal.raise(Terminal.Signal.INT);
  }

  @Override
  public void close() throws IOException {
    try {
      reader.getHistory().save();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    } finally {
      terminal.close();
    }
  }
}
