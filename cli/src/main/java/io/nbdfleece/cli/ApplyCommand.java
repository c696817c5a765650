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
    customSynopsis = "nbdfleece apply [--json] DELTA [DELTA...] FILE",
    description = {
      "Brings FILE, a copy of the full backup, up to date with what `pull --since` wrote: all of",
      "the deltas, the oldest first. Everything is checked before the first byte is written.",
      "When it was interrupted, run the same command again."
    })
final class ApplyCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "DELTA... FILE",
      arity = "2..*",
      description = "The deltas, each with its DELTA.map beside it; last the raw file or device.")
  private List<Path> paths = List.of();

  @Option(names = "--json", description = "Prints a JSON document.")
  private boolean json;

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
    Apply.Summary summary = new Apply(deltas, file).run();
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
