// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.info.InfoJson;
import io.nbdfleece.cli.info.InfoText;
import io.nbdfleece.cli.info.Question;
import io.nbdfleece.cli.info.ServerFacts;
import io.nbdfleece.cli.remote.RemoteServer;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `nbdfleece info`.
@Command(
    name = "info",
    description = {
      "Shows what an NBD server says of an export: size, contexts, abilities, block sizes.",
      "The output is that of nbdinfo, without its line \"content\"."
    })
final class InfoCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "URI",
      description = "nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH; nbds: TLS")
  private String uri = "";

  @ArgGroup private final Asked asked = new Asked();

  @Option(names = "--json", description = "Prints a JSON document, with nbdinfo's keys.")
  private boolean json;

  /// One of these at most.
  static final class Asked {
    @Option(
        names = {"-L", "--list"},
        description = "Shows all exports that the server lists.")
    private boolean list;

    @Option(names = "--size", description = "Prints only the size in bytes.")
    private boolean size;

    @Option(
        names = {"--is", "--can", "--has"},
        paramLabel = "WORD",
        description = {
          "Prints nothing; exits with 0 for yes, 2 for no.",
          "WORD: read-only, rotational, tls, connect, read, write, cache, df, fast-zero, "
              + "flush, fua, multi-conn, trim, zero, block-status-payload, structured-reply, "
              + "extended-headers or meta-context."
        })
    private Optional<String> question = Optional.empty();
  }

  @Override
  public Integer call() throws IOException {
    Question question = asked.question.isPresent() ? question(asked.question.get()) : Question.READ;
    var from = RemoteServer.uri(uri);
    ServerFacts server = asked.list ? ServerFacts.ofAll(from) : ServerFacts.ofExport(from);
    if (asked.question.isPresent()) {
      boolean yes =
          server.exports().getFirst().negotiated().filter(question::isTrueFor).isPresent();
      return (yes ? ExitCode.OK : ExitCode.FALSE).number();
    }
    if (asked.size) {
      System.out.println(server.exports().getFirst().negotiated().orElseThrow().sizeBytes());
    } else if (json) {
      System.out.println(Json.pretty(InfoJson.of(server)));
    } else {
      System.out.print(InfoText.of(server));
    }
    return ExitCode.OK.number();
  }

  private static Question question(String word) throws CommandFailure {
    return Question.ofWord(word)
        .orElseThrow(
            () ->
                new CommandFailure(
                    ExitCode.USAGE, "--is " + word + ": give one of " + Question.words()));
  }
}
