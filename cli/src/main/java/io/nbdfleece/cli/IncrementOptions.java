// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/// What makes a snapshot one of a chain of incremental backups, and when it ends by itself.
final class IncrementOptions {
  /// The longest time that `fleecing-start` takes.
  static final long SECONDS_MAX = 4_294_967_295L;

  @Option(
      names = "--checkpoint",
      paramLabel = "NAME",
      description = {
        "Starts this checkpoint at the instant of the freeze: the next backup can be --since NAME.",
        "It stands once the snapshot is released with --success."
      })
  private Optional<String> checkpoint = Optional.empty();

  @Option(
      names = "--since",
      paramLabel = "NAME",
      description =
          "A checkpoint (or bitmap): what was written since is exported as "
              + "qemu:dirty-bitmap:NAME beside the frozen view.")
  private Optional<String> since = Optional.empty();

  @Option(
      names = "--bitmap-name",
      paramLabel = "NAME",
      description = "Another name for it in qemu:dirty-bitmap:NAME.")
  private Optional<String> bitmapName = Optional.empty();

  @Option(
      names = "--outside",
      paramLabel = "WHAT",
      description =
          "What reading elsewhere gives: data (default), zero or error. With the last two only "
              + "what has changed is preserved.")
  private Optional<Outside> outside = Optional.empty();

  @Option(
      names = "--ttl",
      paramLabel = "TIME",
      description = "Releases the snapshot as failed after so long: 90, 10m, 2h, 1d.")
  private Optional<Duration> ttl = Optional.empty();

  @Option(
      names = "--idle-ttl",
      paramLabel = "TIME",
      description = "The same once no client has had it open for so long.")
  private Optional<Duration> idleTtl = Optional.empty();

  /// `--outside`.
  enum Outside {
    DATA,
    ZERO,
    ERROR
  }

  /// Adds what was given to the arguments of `fleecing-start`.
  void addTo(ObjectNode arguments) throws CommandFailure {
    if (since.isEmpty() && (bitmapName.isPresent() || outside.isPresent())) {
      throw new CommandFailure(
          ExitCode.USAGE,
          (bitmapName.isPresent() ? "--bitmap-name" : "--outside")
              + " is about what --since exports: give --since NAME too");
    }
    checkpoint.ifPresent(name -> arguments.put("checkpoint", name));
    since.ifPresent(name -> arguments.put("since", name));
    bitmapName.ifPresent(name -> arguments.put("bitmap-name", name));
    outside.ifPresent(what -> arguments.put("outside", what.name().toLowerCase(Locale.ROOT)));
    add(arguments, "ttl", ttl);
    add(arguments, "idle-ttl", idleTtl);
  }

  private static void add(ObjectNode arguments, String name, Optional<Duration> time)
      throws CommandFailure {
    if (time.isEmpty()) {
      return;
    }
    if (time.get().toSeconds() == 0) {
      throw new CommandFailure(
          ExitCode.USAGE, "--" + name + ": give at least a second, or leave it out for no limit");
    }
    if (time.get().toSeconds() > SECONDS_MAX) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--"
              + name
              + ": give at most "
              + Duration.ofSeconds(SECONDS_MAX).toDays()
              + "d, or leave it out for no limit");
    }
    arguments.put(name, time.get().toSeconds());
  }
}
