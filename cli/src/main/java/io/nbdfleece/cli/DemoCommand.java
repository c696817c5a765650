// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.demo.Demo;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/// `nbdfleece demo`.
@Command(
    name = "demo",
    description = {
      "Shows the main job on a disk of its own, in a few seconds, and proves the result.",
      "It freezes a disk while it is being written, pulls the frozen view, compares every byte.",
      "Leaves nothing behind."
    })
final class DemoCommand implements Callable<Integer> {
  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Seed of the disk's content and of the writes. Default: 1.")
  private long seed;

  @Option(names = "--json", description = "Prints only a JSON document with the figures.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    return new Demo(
            seed,
            json,
            Terminal.isErrTerminal() && Terminal.isOutTerminal(),
            Terminal.columns(),
            System.out)
        .run()
        .number();
  }
}
