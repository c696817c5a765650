// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// `nbdfleece release`.
@Command(name = "release", description = "Ends snapshots and frees what was preserved for them.")
final class ReleaseCommand implements Callable<Integer> {
  @Parameters(paramLabel = "SNAPSHOT", arity = "1..*", description = "Names of snapshots.")
  private List<String> names = List.of();

  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    ArrayNode released = Json.array();
    try (QmpClient client = control.connect()) {
      for (String name : names) {
        JsonNode last = client.execute("x-nbdfleece-release", Json.object().put("name", name));
        released.add(last);
        if (!control.json()) {
          System.out.println("released " + name + ": " + preserved(last) + " had been preserved");
        }
      }
    } finally {
      if (control.json() && !released.isEmpty()) {
        System.out.println(Json.pretty(Json.snakeCase(released)));
      }
    }
    return 0;
  }

  private static String preserved(JsonNode snapshot) {
    long bytes = 0;
    for (JsonNode disk : snapshot.path("disks")) {
      bytes += disk.path("preserved-bytes").asLong();
    }
    return ByteSize.format(bytes);
  }
}
