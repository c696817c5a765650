// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.map.ExtentWalk;
import io.nbdfleece.cli.map.MapOutput;
import io.nbdfleece.cli.map.MapTotals;
import io.nbdfleece.cli.remote.RemoteServer;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `nbdfleece map`.
@Command(
    name = "map",
    description = {
      "Shows where an NBD export has data: offset, length, type, description.",
      "The output is that of nbdinfo --map; large maps are printed as they come."
    })
final class MapCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "URI",
      description = "nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH; nbds: TLS")
  private String uri = "";

  @Option(
      names = "--context",
      paramLabel = "NAME",
      defaultValue = "base:allocation",
      description = {
        "Another metadata context, e.g. qemu:dirty-bitmap:NAME; `nbdfleece info` shows them.",
        "Default: base:allocation."
      })
  private String context = "base:allocation";

  @Option(names = "--totals", description = "Prints only how much there is of each type.")
  private boolean totals;

  @Option(names = "--json", description = "Prints a JSON array, with nbdinfo's keys.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    NbdUri from = RemoteServer.uri(uri);
    if (context.isEmpty() || context.endsWith(":") || context.equals(ClientOptions.ALL_CONTEXTS)) {
      throw new CommandFailure(
          ExitCode.USAGE, "--context " + context + ": give the whole name of one context");
    }
    try (NbdClient client =
        RemoteServer.connect(from, ClientOptions.defaults().withContexts(List.of(context)))) {
      if (!client.info().metaContexts().contains(context)) {
        throw new CommandFailure(
            ExitCode.NOT_FOUND,
            from
                + ": the server does not offer the metadata context \""
                + context
                + "\": see `nbdfleece info` for those it does");
      }
      if (totals) {
        MapTotals sums = new MapTotals(context, client.info().sizeBytes());
        new ExtentWalk(client, context, sums).run();
        System.out.print(json ? sums.json() : sums.text());
      } else {
        MapOutput output = new MapOutput(context, json, System.out);
        new ExtentWalk(client, context, output).run();
        output.finish();
      }
    }
    return ExitCode.OK.number();
  }
}
