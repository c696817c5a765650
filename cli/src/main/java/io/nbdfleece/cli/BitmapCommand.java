// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece bitmap`: QEMU's bitmap commands, for people.
@Command(
    name = "bitmap",
    description = {
      "Dirty bitmaps of disks: which parts were written since the bitmap was added or cleared.",
      "For a chain of backups use checkpoints: `nbdfleece snapshot --checkpoint`."
    },
    synopsisSubcommandLabel = "COMMAND")
final class BitmapCommand {
  private static final String DISK = "The disk.";

  @Command(name = "add", description = "Adds a bitmap; from now on writes are marked in it.")
  int add(
      @Mixin BitmapPlace bitmap,
      @Option(
              names = "--granularity",
              paramLabel = "SIZE",
              description = "Bytes of a bit, a power of two from 512. Default: 64K.")
          Optional<ByteSize> granularity,
      @Option(names = "--persistent", description = "Outlives the server: needs serve --state DIR.")
          boolean persistent,
      @Option(names = "--disabled", description = "Does not record yet.") boolean disabled)
      throws IOException {
    ObjectNode arguments = bitmap.arguments();
    granularity.ifPresent(size -> arguments.put("granularity", size.bytes()));
    if (persistent) {
      arguments.put("persistent", true);
    }
    if (disabled) {
      arguments.put("disabled", true);
    }
    return bitmap.execute("block-dirty-bitmap-add", arguments, "added");
  }

  @Command(name = "remove", description = "Removes a bitmap.")
  int remove(@Mixin BitmapPlace bitmap) throws IOException {
    return bitmap.execute("block-dirty-bitmap-remove", bitmap.arguments(), "removed");
  }

  @Command(name = "clear", description = "Forgets what is marked.")
  int clear(@Mixin BitmapPlace bitmap) throws IOException {
    return bitmap.execute("block-dirty-bitmap-clear", bitmap.arguments(), "cleared");
  }

  @Command(name = "enable", description = "Lets it record from now on.")
  int enable(@Mixin BitmapPlace bitmap) throws IOException {
    return bitmap.execute("block-dirty-bitmap-enable", bitmap.arguments(), "enabled");
  }

  @Command(name = "disable", description = "Stops it recording; what is marked stays.")
  int disable(@Mixin BitmapPlace bitmap) throws IOException {
    return bitmap.execute("block-dirty-bitmap-disable", bitmap.arguments(), "disabled");
  }

  @Command(
      name = "merge",
      description = "Adds what is marked in the sources to a bitmap; they may differ in grain.")
  int merge(
      @Mixin BitmapPlace target,
      @Parameters(
              index = "2..*",
              paramLabel = "SOURCE",
              arity = "1..*",
              description = "Bitmaps of DISK, or OTHER/NAME of another disk of the same size.")
          List<String> sources)
      throws IOException {
    ObjectNode arguments = Json.object().put("node", target.disk()).put("target", target.name());
    ArrayNode bitmaps = arguments.putArray("bitmaps");
    for (String source : sources) {
      int slash = source.indexOf('/');
      if (slash < 0) {
        bitmaps.add(source);
      } else {
        bitmaps
            .addObject()
            .put("node", source.substring(0, slash))
            .put("name", source.substring(slash + 1));
      }
    }
    return target.execute("block-dirty-bitmap-merge", arguments, "merged");
  }

  @Command(name = "mark", description = "Marks ranges: changes that were made elsewhere.")
  int mark(
      @Mixin BitmapPlace bitmap,
      @Parameters(
              index = "2..*",
              paramLabel = "OFFSET:LENGTH",
              arity = "1..*",
              description = "In bytes, or with K, M, G, T: 1G:64K.")
          List<String> ranges)
      throws IOException {
    ObjectNode arguments = bitmap.arguments();
    ArrayNode list = arguments.putArray("ranges");
    for (String range : ranges) {
      list.add(range(range));
    }
    return bitmap.execute("x-nbdfleece-bitmap-mark", arguments, "marked");
  }

  @Command(name = "list", description = "Shows the bitmaps of a disk, or of all disks.")
  int list(
      @Parameters(paramLabel = "DISK", arity = "0..1", description = DISK) Optional<String> disk,
      @Mixin ControlOptions control)
      throws IOException {
    ObjectNode arguments = Json.object();
    disk.ifPresent(name -> arguments.put("node", name));
    try (QmpClient client = control.connect()) {
      JsonNode bitmaps = client.execute("x-nbdfleece-query-bitmaps", arguments);
      System.out.print(
          control.json() ? Json.pretty(Json.snakeCase(bitmaps)) + "\n" : text(bitmaps));
    }
    return 0;
  }

  @Command(
      name = "dump",
      description = {
        "Shows what is marked, or written since a checkpoint: offset, length, type, description,",
        "as nbdinfo --map does, without what is clean. --json prints an array."
      })
  int dump(@Mixin BitmapPlace bitmap) throws IOException {
    PrintStream out = System.out;
    ControlOptions control = bitmap.control();
    ObjectNode arguments = bitmap.arguments();
    boolean first = true;
    boolean more = true;
    try (QmpClient client = control.connect()) {
      // A page at a time, so that neither side holds all of a large bitmap.
      while (more) {
        JsonNode page = client.execute("x-nbdfleece-bitmap-dump", arguments);
        for (JsonNode extent : page.path("extents")) {
          out.print(control.json() ? (first ? "[\n" : ",\n") + Json.line(extent) : line(extent));
          first = false;
        }
        more = page.has("next-offset");
        arguments.put("offset", page.path("next-offset").asLong());
      }
    }
    if (control.json()) {
      out.print(first ? "[]\n" : "\n]\n");
    }
    return 0;
  }

  private static String line(JsonNode extent) {
    return String.format(
        Locale.ROOT,
        "%12d %12d    1  dirty%n",
        extent.path("offset").asLong(),
        extent.path("length").asLong());
  }

  static String text(JsonNode bitmaps) {
    Table table = new Table(2, 3).row("DISK", "BITMAP", "DIRTY", "GRANULARITY", "STATE");
    for (JsonNode bitmap : bitmaps) {
      table.row(
          SnapshotText.shown(bitmap, "node"),
          SnapshotText.shown(bitmap, "name"),
          ByteSize.format(bitmap.path("count").asLong()),
          ByteSize.format(bitmap.path("granularity").asLong()),
          state(bitmap));
    }
    return table.toString();
  }

  private static String state(JsonNode bitmap) {
    if (bitmap.path("inconsistent").asBoolean(false)) {
      return "INCONSISTENT: remove it, back up in full";
    }
    List<String> words = new ArrayList<>();
    words.add(bitmap.path("recording").asBoolean(false) ? "recording" : "disabled");
    for (String word : List.of("busy", "persistent", "checkpoint")) {
      if (bitmap.path(word).asBoolean(false)) {
        words.add(word);
      }
    }
    return String.join(", ", words);
  }

  private static ObjectNode range(String text) throws CommandFailure {
    int colon = text.indexOf(':');
    try {
      if (colon > 0) {
        return Json.object()
            .put("offset", ByteSize.parse(text.substring(0, colon)).bytes())
            .put("length", ByteSize.parse(text.substring(colon + 1)).bytes());
      }
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(ExitCode.USAGE, "range " + text + ": " + Messages.of(e), e);
    }
    throw new CommandFailure(
        ExitCode.USAGE, "range " + text + ": give OFFSET:LENGTH in bytes, e.g. 1G:64K");
  }
}
