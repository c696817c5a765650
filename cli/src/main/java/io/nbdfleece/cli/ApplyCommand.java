// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.delta.Apply;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `nbdfleece apply`.
@Command(
    name = "apply",
    customSynopsis = "nbdfleece apply [--force] [--json] DELTA [DELTA...] FILE",
    description = {
      "Brings a copy of the full backup up to date with the deltas of `pull --since`.",
      "FILE is the copy; give all of the deltas, the oldest first. Everything is checked before",
      "the first byte is written.",
      "FILE.point, beside FILE, tells which point in time FILE shows; `pull` writes it beside a",
      "full backup that starts a checkpoint. Copy it with FILE: then deltas that do not follow are",
      "refused. When it was interrupted, run the same command again."
    })
final class ApplyCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "DELTA... FILE",
      arity = "2..*",
      description = "The deltas, each with its DELTA.map beside it; last the raw file or device.")
  private List<Path> paths = List.of();

  @Option(names = "--json", description = "Prints a JSON document.")
  private boolean json;

  @Option(
      names = "--force",
      description = {
        "Applies deltas that do not follow what FILE.point says: you know that FILE has all that",
        "came before them."
      })
  private boolean force;

  @Override
  public Integer call() throws IOException {
    Path file = paths.getLast();
    List<Path> deltas = paths.subList(0, paths.size() - 1);
    for (Path delta : deltas) {
      if (Apply.isSame(delta, file)) {
        throw new CommandFailure(
            ExitCode.USAGE, file + ": is a delta and FILE: name the full backup's copy last");
      }
    }
    Apply.Summary summary =
        new Apply(deltas, file, force ? Apply.Fit.ASSUMED : Apply.Fit.CHECKED)
            .run(warning -> System.err.println("nbdfleece: warning: " + warning));
    System.out.println(
        json
            ? Json.pretty(
                Json.object()
                    .put("file", file.toString())
                    .put("deltas", summary.deltas())
                    .put("data_bytes", summary.dataBytes())
                    .put("zero_bytes", summary.zeroBytes())
                    .put("total_duration", summary.nanos() / 1e9))
            : file
                + ": "
                + (summary.deltas() == 1 ? "1 delta" : summary.deltas() + " deltas")
                + " applied, "
                + ByteSize.format(summary.dataBytes())
                + " written, "
                + ByteSize.format(summary.zeroBytes())
                + " zeroed in "
                + Durations.format(summary.nanos()));
    return 0;
  }
}
