// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece cache-resize`.
@Command(
    name = "cache-resize",
    description = {
      "Gives RAM and scratch file for preserved data other sizes while they are in use.",
      "What is preserved has to fit; RAM that is too much is given back once it has been spilled."
    })
final class CacheResizeCommand implements Callable<Integer> {
  @Option(
      names = "--ram",
      paramLabel = "SIZE",
      description = "RAM for preserved data, all disks together.")
  private Optional<ByteSize> ram = Optional.empty();

  @Option(
      names = "--scratch-limit",
      paramLabel = "SIZE",
      description = "Most that the scratch file takes; 0 = RAM only.")
  private Optional<ByteSize> scratchLimit = Optional.empty();

  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    if (ram.isEmpty() && scratchLimit.isEmpty()) {
      throw new CommandFailure(
          ExitCode.USAGE, "nothing to resize: give --ram SIZE, --scratch-limit SIZE or both");
    }
    ObjectNode arguments = Json.object();
    ram.ifPresent(size -> arguments.put("ram", size.bytes()));
    scratchLimit.ifPresent(size -> arguments.put("scratch-limit", size.bytes()));
    try (QmpClient client = control.connect()) {
      JsonNode store = client.execute("cache-resize", arguments);
      System.out.println(control.json() ? Json.pretty(Json.snakeCase(store)) : text(store));
    }
    return 0;
  }

  static String text(JsonNode store) {
    return "preserved data  "
        + ByteSize.format(store.path("ram-bytes-max").asLong())
        + " RAM, then at most "
        + ByteSize.format(store.path("disk-bytes-max").asLong())
        + " in "
        + store.path("scratch-directory").asString()
        + "; "
        + ByteSize.format(store.path("used-bytes").asLong())
        + " used";
  }
}
