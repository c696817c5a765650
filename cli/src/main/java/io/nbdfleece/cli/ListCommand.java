// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
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
        int columns = Terminal.isOutTerminal() ? Terminal.columns() : Integer.MAX_VALUE;
        System.out.print(text(disks, snapshots, columns));
      }
    }
    return 0;
  }

  /// What there is, in a table; one more for snapshots of a chain, or that end by themselves.
  ///
  /// @param columnsMax when the URIs do not fit beside the rest, they get a table of their own
  static String text(JsonNode disks, JsonNode snapshots, int columnsMax) {
    String wide = exports(disks, snapshots, true).toString();
    boolean fits = exports(disks, snapshots, true).columns() <= columnsMax;
    StringBuilder text =
        new StringBuilder(fits ? wide : exports(disks, snapshots, false).toString());
    Table terms = terms(snapshots);
    if (terms.columns() > 0) {
      text.append('\n').append(terms);
    }
    if (!fits) {
      text.append('\n').append(uris(disks, snapshots));
    }
    return text.toString();
  }

  private static Table exports(JsonNode disks, JsonNode snapshots, boolean withUris) {
    Table table = new Table(1, 3, 4);
    row(table, withUris, "URI", "EXPORT", "SIZE", "STATE", "PRESERVED", "CLIENTS");
    for (JsonNode disk : disks) {
      row(
          table,
          withUris,
          Table.joined(disk.path("uris")),
          SnapshotText.shown(disk, "name"),
          ByteSize.format(disk.path("size-bytes").asLong()),
          state(disk),
          "",
          disk.path("clients").asString());
    }
    for (JsonNode snapshot : snapshots) {
      for (JsonNode disk : snapshot.path("disks")) {
        row(
            table,
            withUris,
            Table.joined(disk.path("uris")),
            SnapshotText.shown(disk, "export"),
            ByteSize.format(disk.path("size-bytes").asLong()),
            disk.has("broken-because")
                ? "broken"
                : "frozen " + localTime(snapshot.path("created").asString()),
            ByteSize.format(disk.path("preserved-bytes").asLong()),
            disk.path("clients").asString());
      }
    }
    return table;
  }

  private static String state(JsonNode disk) {
    return disk.path("access").asString()
        + (disk.has("damage") ? ", DAMAGED" : "")
        + (disk.has("displacement") ? ", DISPLACED" : "");
  }

  private static void row(Table table, boolean withUris, String uris, String... cells) {
    List<String> all = new ArrayList<>(List.of(cells));
    if (withUris) {
      all.add(uris);
    }
    var _ = table.row(all.toArray(String[]::new));
  }

  private static Table terms(JsonNode snapshots) {
    Table table = new Table();
    for (JsonNode snapshot : snapshots) {
      for (JsonNode disk : snapshot.path("disks")) {
        if (!disk.has("since") && SnapshotText.terms(snapshot).isEmpty()) {
          continue;
        }
        if (table.columns() == 0) {
          var _ = table.row("EXPORT", "SINCE", "CHANGED", "STARTS", "ENDS BY ITSELF");
        }
        String outside = SnapshotText.outside(snapshot);
        String changed =
            disk.has("since") ? ByteSize.format(disk.path("dirty-bytes").asLong()) : "";
        var _ =
            table.row(
                SnapshotText.shown(disk, "export"),
                SnapshotText.shown(disk, "since"),
                changed.isEmpty() || outside.isEmpty() ? changed : changed + ", " + outside,
                snapshot.has("checkpoint")
                    ? SnapshotText.shown(snapshot, "checkpoint") + " (pending)"
                    : "",
                Stream.of(SnapshotText.ends(snapshot), SnapshotText.breaks(snapshot))
                    .filter(text -> !text.isEmpty())
                    .collect(Collectors.joining(", ")));
      }
    }
    return table;
  }

  private static Table uris(JsonNode disks, JsonNode snapshots) {
    Table table = new Table().row("EXPORT", "URI");
    for (JsonNode disk : disks) {
      var _ = table.row(SnapshotText.shown(disk, "name"), Table.joined(disk.path("uris")));
    }
    for (JsonNode snapshot : snapshots) {
      for (JsonNode disk : snapshot.path("disks")) {
        var _ = table.row(SnapshotText.shown(disk, "export"), Table.joined(disk.path("uris")));
      }
    }
    return table;
  }

  /// An instant as a person here reads it.
  static String localTime(String instant) {
    return TIME.format(Instant.parse(instant).atZone(ZoneId.systemDefault()));
  }
}
