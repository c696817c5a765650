// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.warmup.WarmUp;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

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
  @Override
  public Integer call() throws IOException {
    return new WarmUp(Main::run).run().number();
  }
}
