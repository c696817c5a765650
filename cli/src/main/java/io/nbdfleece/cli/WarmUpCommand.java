// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.warmup.WarmUp;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/// `nbdfleece warm-up`, which the launcher calls when it makes the cache that lets java start
/// faster.
@Command(
    name = "warm-up",
    hidden = true,
    description = {
      "Does for some seconds, on a small disk of its own, what servers and clients usually do,",
      "so that java can note what it needs for it. Leaves nothing behind."
    })
final class WarmUpCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "URI",
      description = "Exports to be used as guests and backups do, instead of all that.")
  private List<String> uris = List.of();

  @Override
  public Integer call() throws IOException {
    return (uris.isEmpty()
            ? new WarmUp(Main::run).run()
            : WarmUp.load(uris.stream().map(NbdUri::parse).toList()))
        .number();
  }
}
