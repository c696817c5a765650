// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece release`.
@Command(
    name = "release",
    description = {
      "Ends snapshots and frees what was preserved for them.",
      "One that started a checkpoint wants to know what became of the backup."
    },
    sortOptions = false)
final class ReleaseCommand implements Callable<Integer> {
  @Parameters(paramLabel = "SNAPSHOT", arity = "1..*", description = "Names of snapshots.")
  private List<String> names = List.of();

  @ArgGroup private Outcome outcome = new Outcome();

  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    ArrayNode released = Json.array();
    try (QmpClient client = control.connect()) {
      for (String name : names) {
        ObjectNode arguments = Json.object().put("name", name);
        if (outcome.success || outcome.failed) {
          arguments.put("success", outcome.success);
        }
        JsonNode last = client.execute("fleecing-stop", arguments);
        released.add(last);
        if (!control.json()) {
          System.out.println(
              "released " + name + ": " + preserved(last) + " had been preserved" + fate(last));
        }
      }
    } finally {
      if (control.json() && !released.isEmpty()) {
        System.out.println(Json.pretty(Json.snakeCase(released)));
      }
    }
    return 0;
  }

  /// One of these at most.
  static final class Outcome {
    @Option(
        names = "--success",
        description = "The backup is safe: its checkpoint stands, the next can be --since it.")
    private boolean success;

    @Option(
        names = "--failed",
        description =
            "It is not: the checkpoint is undone, the next --since the one before covers all.")
    private boolean failed;
  }

  private String fate(JsonNode snapshot) {
    if (!snapshot.has("checkpoint")) {
      return "";
    }
    String checkpoint = snapshot.path("checkpoint").asString();
    return outcome.success
        ? "; checkpoint " + checkpoint + " stands"
        : "; checkpoint " + checkpoint + " is undone";
  }

  private static String preserved(JsonNode snapshot) {
    long bytes = 0;
    for (JsonNode disk : snapshot.path("disks")) {
      bytes += disk.path("preserved-bytes").asLong();
    }
    return ByteSize.format(bytes);
  }
}
