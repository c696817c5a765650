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
  private static final String NAME = "The bitmap.";

  @Command(name = "add", description = "Adds a bitmap; from now on writes are marked in it.")
  int add(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = NAME) String name,
      @Option(
              names = "--granularity",
              paramLabel = "SIZE",
              description = "Bytes of a bit, a power of two from 512. Default: 64K.")
          Optional<ByteSize> granularity,
      @Option(names = "--persistent", description = "Outlives the server: needs serve --state DIR.")
          boolean persistent,
      @Option(names = "--disabled", description = "Does not record yet.") boolean disabled,
      @Mixin ControlOptions control)
      throws IOException {
    ObjectNode arguments = bitmap(disk, name);
    granularity.ifPresent(size -> arguments.put("granularity", size.bytes()));
    if (persistent) {
      arguments.put("persistent", true);
    }
    if (disabled) {
      arguments.put("disabled", true);
    }
    return execute("add", arguments, "added", control);
  }

  @Command(name = "remove", description = "Removes a bitmap.")
  int remove(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = NAME) String name,
      @Mixin ControlOptions control)
      throws IOException {
    return execute("remove", bitmap(disk, name), "removed", control);
  }

  @Command(name = "clear", description = "Forgets what is marked.")
  int clear(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = NAME) String name,
      @Mixin ControlOptions control)
      throws IOException {
    return execute("clear", bitmap(disk, name), "cleared", control);
  }

  @Command(name = "enable", description = "Lets it record from now on.")
  int enable(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = NAME) String name,
      @Mixin ControlOptions control)
      throws IOException {
    return execute("enable", bitmap(disk, name), "enabled", control);
  }

  @Command(name = "disable", description = "Stops it recording; what is marked stays.")
  int disable(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = NAME) String name,
      @Mixin ControlOptions control)
      throws IOException {
    return execute("disable", bitmap(disk, name), "disabled", control);
  }

  @Command(
      name = "merge",
      description = "Adds what is marked in the sources to a bitmap; they may differ in grain.")
  int merge(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "TARGET", description = "Where to.") String target,
      @Parameters(
              paramLabel = "SOURCE",
              arity = "1..*",
              description = "Bitmaps of DISK, or OTHER/NAME of another disk of the same size.")
          List<String> sources,
      @Mixin ControlOptions control)
      throws IOException {
    ObjectNode arguments = Json.object().put("node", disk).put("target", target);
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
    return execute("merge", arguments, "merged", control);
  }

  @Command(name = "mark", description = "Marks ranges: changes that were made elsewhere.")
  int mark(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = NAME) String name,
      @Parameters(
              paramLabel = "OFFSET:LENGTH",
              arity = "1..*",
              description = "In bytes, or with K, M, G, T: 1G:64K.")
          List<String> ranges,
      @Mixin ControlOptions control)
      throws IOException {
    ObjectNode arguments = bitmap(disk, name);
    ArrayNode list = arguments.putArray("ranges");
    for (String range : ranges) {
      list.add(range(range));
    }
    return execute("x-nbdfleece-bitmap-mark", "mark", arguments, "marked", control);
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
  int dump(
      @Parameters(paramLabel = "DISK", description = DISK) String disk,
      @Parameters(paramLabel = "NAME", description = "The bitmap or checkpoint.") String name,
      @Mixin ControlOptions control)
      throws IOException {
    PrintStream out = System.out;
    ObjectNode arguments = bitmap(disk, name);
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
    Table table = new Table().row("DISK", "BITMAP", "DIRTY", "GRANULARITY", "STATE");
    for (JsonNode bitmap : bitmaps) {
      table.row(
          bitmap.path("node").asString(),
          bitmap.path("name").asString(),
          ByteSize.format(bitmap.path("count").asLong()),
          ByteSize.format(bitmap.path("granularity").asLong()),
          state(bitmap));
    }
    return table.toString();
  }

  private static String state(JsonNode bitmap) {
    if (bitmap.path("inconsistent").asBoolean(false)) {
      return "INCONSISTENT: remove it, and back up all of the disk";
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

  private static ObjectNode bitmap(String disk, String name) {
    return Json.object().put("node", disk).put("name", name);
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

  private static int execute(String verb, ObjectNode arguments, String done, ControlOptions control)
      throws IOException {
    return execute("block-dirty-bitmap-" + verb, verb, arguments, done, control);
  }

  private static int execute(
      String command, String verb, ObjectNode arguments, String done, ControlOptions control)
      throws IOException {
    String disk = arguments.path("node").asString();
    String name = arguments.path(arguments.has("target") ? "target" : "name").asString();
    try (QmpClient client = control.connect()) {
      JsonNode _ = client.execute(command, arguments);
    }
    System.out.println(
        control.json()
            ? Json.pretty(Json.object().put("disk", disk).put("bitmap", name).put("action", verb))
            : "bitmap " + name + " of disk " + disk + ": " + done);
    return 0;
  }
}
