// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.base.ShellWord;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// What a person is told of a snapshot.
final class SnapshotText {
  private SnapshotText() {}

  /// After it was created: URIs, what has changed since, what to do next.
  static String created(JsonNode snapshot) {
    Table table = new Table();
    for (JsonNode disk : snapshot.path("disks")) {
      table.row(
          disk.path("disk").asString(),
          Table.joined(disk.path("uris")) + (disk.has("since") ? "  " + changed(disk) : ""));
    }
    int count = snapshot.path("disks").size();
    String name = snapshot.path("name").asString();
    StringBuilder text = new StringBuilder(table.toString());
    text.append("snapshot \"")
        .append(name)
        .append("\" of ")
        .append(count == 1 ? "1 disk" : count + " disks")
        .append(": writes were held for ")
        .append(Durations.format(snapshot.path("freeze-nanos").asLong()))
        .append('\n');
    if (!ends(snapshot).isEmpty()) {
      text.append("ends by itself ").append(ends(snapshot)).append('\n');
    }
    if (!breaks(snapshot).isEmpty()) {
      text.append(breaks(snapshot)).append('\n');
    }
    boolean chained = snapshot.has("checkpoint");
    if (chained || snapshot.has("since")) {
      next(text, snapshot);
      text.append("  ").append(ShellWord.line("nbdfleece", "release", name));
      if (chained) {
        text.append(" --success    # when the backup is safe: checkpoint ")
            .append(shown(snapshot, "checkpoint"))
            .append(" stands; else --failed");
      }
      text.append('\n');
    }
    return text.toString();
  }

  private static void next(StringBuilder text, JsonNode snapshot) {
    text.append("next:\n");
    for (JsonNode disk : snapshot.path("disks")) {
      String uri = disk.path("uris").path(0).asString();
      String stem = disk.path("disk").asString() + "-" + snapshot.path("name").asString();
      if (disk.has("bitmap")) {
        String bitmap = disk.path("bitmap").asString();
        command(text, "nbdinfo", "--map=qemu:dirty-bitmap:" + bitmap, uri);
        command(text, "nbdfleece", "pull", "--since", bitmap, uri, stem + ".delta");
      } else {
        command(text, "nbdfleece", "pull", uri, stem + ".img");
      }
    }
  }

  private static void command(StringBuilder text, String... words) {
    text.append("  ").append(ShellWord.line(words)).append('\n');
  }

  /// `since c1: 12.0 MiB of 1.0 GiB changed`.
  static String changed(JsonNode disk) {
    return "since "
        + shown(disk, "since")
        + ": "
        + ByteSize.format(disk.path("dirty-bytes").asLong())
        + " of "
        + ByteSize.format(disk.path("size-bytes").asLong())
        + " changed";
  }

  /// `checkpoint c2 pending, ends in 1 h 3 min`; nothing for a snapshot that has neither.
  static String terms(JsonNode snapshot) {
    List<String> terms = new ArrayList<>();
    if (snapshot.has("checkpoint")) {
      terms.add("checkpoint " + shown(snapshot, "checkpoint") + " pending");
    }
    if (!outside(snapshot).isEmpty()) {
      terms.add(outside(snapshot));
    }
    if (!ends(snapshot).isEmpty()) {
      terms.add("ends " + ends(snapshot));
    }
    if (!breaks(snapshot).isEmpty()) {
      terms.add(breaks(snapshot));
    }
    return String.join(", ", terms);
  }

  /// `zero outside`; nothing when all of it can be read.
  static String outside(JsonNode snapshot) {
    String outside = snapshot.path("outside").asString("data");
    return outside.equals("data") ? "" : outside + " outside";
  }

  /// `breaks beyond 1.0 GiB preserved`; nothing for a snapshot that may take what there is.
  static String breaks(JsonNode snapshot) {
    return snapshot.has("max-preserved")
        ? "breaks beyond " + ByteSize.format(snapshot.path("max-preserved").asLong()) + " preserved"
        : "";
  }

  /// `in 1 h 3 min, when idle for 10 min`; nothing when it lasts until it is released.
  static String ends(JsonNode snapshot) {
    List<String> ends = new ArrayList<>();
    if (snapshot.has("seconds-left")) {
      ends.add("in " + timeLeft(snapshot));
    }
    if (snapshot.has("idle-ttl")) {
      ends.add("when idle for " + seconds(snapshot.path("idle-ttl").asLong()));
    }
    return String.join(", ", ends);
  }

  /// A name in it as a person may see it.
  static String shown(JsonNode node, String member) {
    return ShownNames.of(node.path(member).asString());
  }

  /* Where only minutes are shown, one that has begun counts: two hours just after the start. */
  private static String timeLeft(JsonNode snapshot) {
    long seconds = snapshot.path("seconds-left").asLong();
    return seconds(seconds < 3600 ? seconds : Math.ceilDiv(seconds, 60) * 60);
  }

  private static String seconds(long seconds) {
    return seconds < 60 ? seconds + " s" : Durations.format(seconds * 1_000_000_000L);
  }
}
