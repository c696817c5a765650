// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece status`.
@Command(
    name = "status",
    description = "Shows disks, snapshots, RAM and scratch use, and what guest writes paid.")
final class StatusCommand implements Callable<Integer> {
  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    try (QmpClient client = control.connect()) {
      ObjectNode status = Json.object();
      status.set("version", client.execute("query-version", Json.object()));
      status.put("control-socket", control.path().toString());
      status.set("disks", client.execute("x-nbdfleece-query-disks", Json.object()));
      status.set("snapshots", client.execute("query-fleecing", Json.object()));
      status.set("store", client.execute("x-nbdfleece-query-store", Json.object()));
      System.out.print(
          control.json()
              ? Json.pretty(Json.snakeCase(status)) + "\n"
              : text(status, Instant.now()));
    }
    return 0;
  }

  static String text(JsonNode status, Instant now) {
    JsonNode store = status.path("store");
    StringBuilder text = new StringBuilder();
    Duration uptime = Duration.between(Instant.parse(store.path("started").asString()), now);
    text.append(status.path("version").path("package").asString())
        .append(", up ")
        .append(Durations.format(Math.max(0, uptime.toNanos())))
        .append(", control socket ")
        .append(status.path("control-socket").asString())
        .append('\n');
    for (JsonNode disk : status.path("disks")) {
      disk(text, disk);
    }
    if (status.path("snapshots").isEmpty()) {
      text.append("\nno snapshots\n");
    }
    for (JsonNode snapshot : status.path("snapshots")) {
      snapshot(text, snapshot);
    }
    store(text, store);
    return text.toString();
  }

  private static void disk(StringBuilder text, JsonNode disk) {
    text.append("\ndisk ")
        .append(disk.path("name").asString())
        .append("  ")
        .append(ByteSize.format(disk.path("size-bytes").asLong()))
        .append("  ")
        .append(disk.path("access").asString())
        .append("  ")
        .append(clients(disk))
        .append("  ")
        .append(disk.path("path").asString())
        .append("\n  guest writes  ")
        .append(count(disk.path("writes").asLong()));
    long errors = disk.path("write-errors").asLong();
    if (errors > 0) {
      text.append(", ").append(count(errors)).append(" FAILED");
    }
    long preserving = disk.path("preserving-writes").asLong();
    if (preserving > 0) {
      text.append("; ")
          .append(count(preserving))
          .append(" had to preserve first: mean ")
          .append(Durations.format(disk.path("preserve-nanos-total").asLong() / preserving))
          .append(", longest ")
          .append(Durations.format(disk.path("preserve-nanos-max").asLong()));
    }
    long slowed = disk.path("slowed-writes").asLong();
    if (slowed > 0) {
      text.append("; ")
          .append(count(slowed))
          .append(" slowed, by ")
          .append(Durations.format(disk.path("slowed-nanos-total").asLong() / slowed))
          .append(" on average");
    }
    text.append('\n');
    if (disk.has("damage")) {
      text.append("  DAMAGED: ").append(disk.path("damage").asString()).append('\n');
    }
    if (disk.has("displacement")) {
      text.append("  DISPLACED: ").append(disk.path("displacement").asString()).append('\n');
    }
    String step = disk.path("write-budget").asString("normal");
    if (!step.equals("normal")) {
      text.append("  OVER ITS WRITE BUDGET: ").append(step).append('\n');
    }
  }

  private static void snapshot(StringBuilder text, JsonNode snapshot) {
    text.append("\nsnapshot ")
        .append(snapshot.path("name").asString())
        .append("  ")
        .append(ListCommand.localTime(snapshot.path("created").asString()))
        .append("  ")
        .append(snapshot.path("access").asString())
        .append(", writes held for ")
        .append(Durations.format(snapshot.path("freeze-nanos").asLong()))
        .append('\n');
    String terms = SnapshotText.terms(snapshot);
    if (!terms.isEmpty()) {
      text.append("  ").append(terms).append('\n');
    }
    for (JsonNode disk : snapshot.path("disks")) {
      text.append("  ")
          .append(disk.path("export").asString())
          .append("  preserved ")
          .append(bytes(disk, "preserved-bytes"))
          .append(" (RAM ")
          .append(bytes(disk, "ram-bytes"))
          .append(", disk ")
          .append(bytes(disk, "disk-bytes"))
          .append(")");
      if (disk.path("released-bytes").asLong() > 0) {
        text.append(", released ").append(bytes(disk, "released-bytes"));
      }
      if (disk.path("lost-bytes").asLong() > 0) {
        text.append(", LOST ").append(bytes(disk, "lost-bytes"));
      }
      text.append(", ").append(clients(disk)).append('\n');
      if (disk.has("since")) {
        text.append("  ").append(SnapshotText.changed(disk)).append('\n');
      }
      if (disk.has("broken-because")) {
        text.append("  BROKEN: ").append(disk.path("broken-because").asString()).append('\n');
      }
    }
  }

  private static void store(StringBuilder text, JsonNode store) {
    text.append("\npreserved data\n")
        .append(tier("RAM  ", store, "ram-bytes", ""))
        .append(tier("disk ", store, "disk-bytes", store.path("scratch-directory").asString()))
        .append("  since the start: ")
        .append(bytes(store, "preserved-bytes-total"))
        .append(" preserved, ")
        .append(bytes(store, "spilled-bytes-total"))
        .append(" spilled, ")
        .append(bytes(store, "released-bytes-total"))
        .append(" released\n");
    long capacity = store.path("capacity-bytes").asLong();
    if (capacity > 0) {
      text.append(
          String.format(
              Locale.ROOT,
              "  filled %.1f%%%n",
              100.0 * store.path("used-bytes").asLong() / capacity));
    }
    if (store.has("problem")) {
      text.append("  PROBLEM: ").append(store.path("problem").asString()).append('\n');
    }
  }

  private static String tier(String name, JsonNode store, String member, String where) {
    long bytes = store.path(member).asLong();
    long bytesMax = store.path(member + "-max").asLong();
    return String.format(
                Locale.ROOT,
                "  %s %5.1f%%  %s  %s",
                name,
                bytesMax == 0 ? 0 : 100.0 * bytes / bytesMax,
                ByteSize.formatPart(bytes, bytesMax),
                where)
            .stripTrailing()
        + "\n";
  }

  private static String bytes(JsonNode node, String member) {
    return ByteSize.format(node.path(member).asLong());
  }

  private static String clients(JsonNode node) {
    int clients = node.path("clients").asInt();
    return clients == 1 ? "1 client" : clients + " clients";
  }

  private static String count(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }
}
