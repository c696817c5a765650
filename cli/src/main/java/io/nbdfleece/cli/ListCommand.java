// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece list`.
@Command(name = "list", description = "Lists the exports: disks and snapshots, with their URIs.")
final class ListCommand implements Callable<Integer> {
  private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");

  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    try (QmpClient client = control.connect()) {
      JsonNode disks = client.execute("x-nbdfleece-query-disks", Json.object());
      JsonNode snapshots = client.execute("query-fleecing", Json.object());
      if (control.json()) {
        ObjectNode document = Json.object();
        document.set("disks", disks);
        document.set("snapshots", snapshots);
        System.out.println(Json.pretty(Json.snakeCase(document)));
      } else {
        System.out.print(text(disks, snapshots));
      }
    }
    return 0;
  }

  static String text(JsonNode disks, JsonNode snapshots) {
    Table table = new Table().row("EXPORT", "SIZE", "STATE", "PRESERVED", "CLIENTS", "URI");
    for (JsonNode disk : disks) {
      table.row(
          disk.path("name").asString(),
          ByteSize.format(disk.path("size-bytes").asLong()),
          disk.path("access").asString(),
          "",
          disk.path("clients").asString(),
          Table.joined(disk.path("uris")));
    }
    for (JsonNode snapshot : snapshots) {
      for (JsonNode disk : snapshot.path("disks")) {
        table.row(
            disk.path("export").asString(),
            ByteSize.format(disk.path("size-bytes").asLong()),
            state(snapshot, disk),
            ByteSize.format(disk.path("preserved-bytes").asLong()),
            disk.path("clients").asString(),
            Table.joined(disk.path("uris")));
      }
    }
    return table.toString();
  }

  private static String state(JsonNode snapshot, JsonNode disk) {
    if (disk.has("broken-because")) {
      return "broken";
    }
    return "frozen "
        + localTime(snapshot.path("created").asString())
        + (disk.has("since") ? ", " + SnapshotText.changed(disk) : "")
        + SnapshotText.terms(snapshot);
  }

  /// An instant as a person here reads it.
  static String localTime(String instant) {
    return TIME.format(Instant.parse(instant).atZone(ZoneId.systemDefault()));
  }
}
