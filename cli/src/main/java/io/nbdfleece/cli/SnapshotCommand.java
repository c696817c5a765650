// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece snapshot`.
@Command(
    name = "snapshot",
    description = {
      "Freezes disks at one instant and prints the NBD URI of each frozen view.",
      "The disks stay writable: what is overwritten is preserved first.",
      "With --checkpoint and --since it is one of a chain of incremental backups: release it with",
      "--success when the backup is safe, else with --failed."
    },
    sortOptions = false)
final class SnapshotCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "DISK",
      arity = "0..*",
      description = "Disks to freeze together; all when none is named.")
  private List<String> disks = List.of();

  @Option(
      names = "--name",
      paramLabel = "NAME",
      description = "Name of the snapshot: the exports are DISK@NAME. Default: snap-1, snap-2 …")
  private Optional<String> name = Optional.empty();

  @Option(
      names = "--discard",
      description = "Clients may TRIM what they have: its copy is freed and cannot be read again.")
  private boolean discard;

  @Option(names = "--read-once", description = "Reading does what TRIM does with --discard.")
  private boolean readOnce;

  @Option(
      names = "--on-cbw-error",
      paramLabel = "POLICY",
      description = {
        "When an old block cannot be preserved: break-snapshot (the guest goes on)",
        "or break-guest-write (the snapshot stays whole). Default: as serve was told."
      })
  private Optional<CbwErrorPolicy> onCbwError = Optional.empty();

  @Option(
      names = "--cbw-timeout",
      paramLabel = "SECONDS",
      description = "Longest that preserving may hold up a guest write; 0 = no limit.")
  private Optional<Long> cbwTimeoutSeconds = Optional.empty();

  @Option(
      names = "--max-preserved",
      paramLabel = "SIZE",
      description =
          "Breaks the snapshot, so that guests go on, when more would have to be preserved for it.")
  private Optional<ByteSize> maxPreserved = Optional.empty();

  @Mixin private final IncrementOptions increment = new IncrementOptions();
  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    if (discard && readOnce) {
      throw new CommandFailure(
          ExitCode.USAGE, "--discard with --read-once: the second includes the first: give one");
    }
    if (cbwTimeoutSeconds.isPresent()
        && (cbwTimeoutSeconds.get() < 0
            || cbwTimeoutSeconds.get() > IncrementOptions.SECONDS_MAX)) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--cbw-timeout "
              + cbwTimeoutSeconds.get()
              + ": give 0 (no limit) to "
              + IncrementOptions.SECONDS_MAX
              + " seconds");
    }
    if (maxPreserved.isPresent() && maxPreserved.get().bytes() == 0) {
      throw new CommandFailure(
          ExitCode.USAGE, "--max-preserved 0: give at least a byte, or leave it out for no limit");
    }
    ObjectNode arguments = Json.object();
    ArrayNode names = arguments.putArray("disks");
    disks.forEach(names::add);
    name.ifPresent(n -> arguments.put("name", n));
    arguments.put("access", discard ? "discard" : readOnce ? "read-once" : "read-only");
    onCbwError.ifPresent(policy -> arguments.put("on-cbw-error", policy.toString()));
    cbwTimeoutSeconds.ifPresent(seconds -> arguments.put("cbw-timeout", seconds));
    maxPreserved.ifPresent(size -> arguments.put("max-preserved", size.bytes()));
    increment.addTo(arguments);
    try (QmpClient client = control.connect()) {
      JsonNode snapshot = client.execute("fleecing-start", arguments);
      System.out.println(
          control.json() ? Json.pretty(Json.snakeCase(snapshot)) : text(snapshot).stripTrailing());
    }
    return 0;
  }

  static String text(JsonNode snapshot) {
    return SnapshotText.created(snapshot);
  }
}
