// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece checkpoint`.
@Command(
    name = "checkpoint",
    description = {
      "Points in time that incremental backups start from.",
      "They are made by `nbdfleece snapshot --checkpoint NAME`."
    },
    synopsisSubcommandLabel = "COMMAND")
final class CheckpointCommand {

  @Command(
      name = "list",
      description = {
        "Shows the checkpoints of a disk, or of all disks, oldest first.",
        "WRITTEN: between it and the next one. NEXT INCREMENTAL: what a backup since it would copy."
      })
  int list(
      @Parameters(paramLabel = "DISK", arity = "0..1", description = "The disk.")
          Optional<String> disk,
      @Mixin ControlOptions control)
      throws IOException {
    ObjectNode arguments = Json.object();
    disk.ifPresent(name -> arguments.put("disk", name));
    try (QmpClient client = control.connect()) {
      JsonNode checkpoints = client.execute("x-nbdfleece-query-checkpoints", arguments);
      System.out.print(
          control.json() ? Json.pretty(Json.snakeCase(checkpoints)) + "\n" : text(checkpoints));
    }
    return 0;
  }

  @Command(
      name = "delete",
      description = {
        "Forgets a checkpoint, on all disks that have it or on those named.",
        "What was written since it then counts for the one before it, if there is one."
      })
  int delete(
      @Parameters(paramLabel = "NAME", description = "The checkpoint.") String name,
      @Parameters(paramLabel = "DISK", arity = "0..*", description = "Disks; all that have it.")
          List<String> disks,
      @Mixin ControlOptions control)
      throws IOException {
    ObjectNode arguments = Json.object().put("name", name);
    if (disks != null && !disks.isEmpty()) {
      ArrayNode names = arguments.putArray("disks");
      disks.forEach(names::add);
    }
    try (QmpClient client = control.connect()) {
      JsonNode _ = client.execute("x-nbdfleece-checkpoint-delete", arguments);
    }
    System.out.println(
        control.json()
            ? Json.pretty(Json.object().put("checkpoint", name).put("action", "delete"))
            : "checkpoint " + name + ": deleted");
    return 0;
  }

  static String text(JsonNode checkpoints) {
    Table table =
        new Table(3, 4)
            .row("DISK", "CHECKPOINT", "CREATED", "WRITTEN", "NEXT INCREMENTAL", "STATE");
    for (JsonNode checkpoint : checkpoints) {
      table.row(
          SnapshotText.shown(checkpoint, "disk"),
          SnapshotText.shown(checkpoint, "name"),
          ListCommand.localTime(checkpoint.path("created").asString()),
          ByteSize.format(checkpoint.path("own-dirty-bytes").asLong()),
          ByteSize.format(checkpoint.path("since-dirty-bytes").asLong()),
          state(checkpoint));
    }
    return table.toString();
  }

  private static String state(JsonNode checkpoint) {
    if (checkpoint.path("inconsistent").asBoolean(false)) {
      return "INCONSISTENT: delete it";
    }
    if (checkpoint.has("pending-snapshot")) {
      return "pending, of snapshot " + SnapshotText.shown(checkpoint, "pending-snapshot");
    }
    return checkpoint.path("persistent").asBoolean(false) ? "persistent" : "ends with the server";
  }
}
