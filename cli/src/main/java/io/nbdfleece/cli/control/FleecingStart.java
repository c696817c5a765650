// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.Lifetime;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import tools.jackson.databind.JsonNode;

/// `fleecing-start`: freezes disks at one instant.
///
/// - `disks`: names; all disks when absent
/// - `name`: `snap-N` when absent
/// - `access`: `read-only` (default), `discard`, `read-once`
/// - `on-cbw-error`: `break-snapshot`, `break-guest-write`
/// - `cbw-timeout`: seconds; 0 = no limit
/// - `checkpoint`: starts this checkpoint at the instant of the freeze
/// - `since`: a checkpoint or bitmap; what is dirty in it is exported beside the frozen view
/// - `bitmap-name`: as `qemu:dirty-bitmap:NAME`; the name of what it is since when absent
/// - `outside`: what reading elsewhere gives: `data` (default), `zero`, `error`
/// - `ttl`, `idle-ttl`: seconds, after its creation or after its last client left, until it ends by
///   itself as a failed backup
/// - `max-preserved`: bytes; when more would have to be preserved for it, on all its disks
///   together, it is broken, whatever `on-cbw-error` says
final class FleecingStart implements QmpCommand {
  static final QmpType.Enumeration ACCESS =
      new QmpType.Enumeration("FleecingAccess", WireName.all(SnapshotRequest.Access.class));
  static final QmpType.Enumeration ON_CBW_ERROR =
      new QmpType.Enumeration("OnCbwError", WireName.all(SnapshotRequest.OnCbwError.class));
  static final QmpType.Enumeration OUTSIDE =
      new QmpType.Enumeration("FleecingOutside", WireName.all(SnapshotRequest.Outside.class));

  /// Also of the action of a transaction.
  static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "FleecingStartArguments",
          List.of(
              Member.optional("disks", new QmpType.ArrayOf(STRING)),
              Member.optional("name", STRING),
              Member.optional("access", ACCESS),
              Member.optional("on-cbw-error", ON_CBW_ERROR),
              Member.optional("cbw-timeout", UINT32),
              Member.optional("checkpoint", STRING),
              Member.optional("since", STRING),
              Member.optional("bitmap-name", STRING),
              Member.optional("outside", OUTSIDE),
              Member.optional("ttl", UINT32),
              Member.optional("idle-ttl", UINT32),
              Member.optional("max-preserved", SIZE)));

  private static final long SECONDS_MAX = 4_294_967_295L;

  @Override
  public String name() {
    return "fleecing-start";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return SnapshotJson.TYPE;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    return SnapshotJson.of(
        EngineAnswer.await(
            "snapshot", target.snapshot(request(arguments, target.snapshotDefaults()))),
        target);
  }

  /// What the arguments ask for.
  static SnapshotRequest request(QmpArguments arguments, ControlTarget.SnapshotDefaults defaults)
      throws QmpException {
    Optional<String> since = arguments.optionalString("since");
    Optional<String> exportedAs = arguments.optionalString("bitmap-name");
    Optional<SnapshotRequest.Outside> outside =
        arguments.optionalEnum("outside", SnapshotRequest.Outside.class);
    if (since.isEmpty() && (exportedAs.isPresent() || outside.isPresent())) {
      throw QmpException.usage(
          "Parameter '"
              + (exportedAs.isPresent() ? "bitmap-name" : "outside")
              + "' needs 'since': name the checkpoint or bitmap that it is about");
    }
    return new SnapshotRequest(
        arguments.strings("disks"),
        arguments.optionalString("name"),
        arguments
            .optionalEnum("access", SnapshotRequest.Access.class)
            .orElse(SnapshotRequest.Access.READ_ONLY),
        arguments
            .optionalEnum("on-cbw-error", SnapshotRequest.OnCbwError.class)
            .orElse(defaults.onCbwError()),
        seconds(arguments, "cbw-timeout", 0).orElse(defaults.cbwTimeout()),
        new Increment(
            arguments.optionalString("checkpoint"),
            since,
            Map.of(),
            exportedAs,
            outside.orElse(SnapshotRequest.Outside.DATA)),
        new Lifetime(
            seconds(arguments, "ttl", 1),
            seconds(arguments, "idle-ttl", 1),
            bytes(arguments, "max-preserved")));
  }

  private static Optional<Long> bytes(QmpArguments arguments, String name) throws QmpException {
    OptionalLong bytes = arguments.optionalInteger(name, 1, Long.MAX_VALUE);
    return bytes.isPresent() ? Optional.of(bytes.getAsLong()) : Optional.empty();
  }

  private static Optional<Duration> seconds(QmpArguments arguments, String name, long min)
      throws QmpException {
    OptionalLong seconds = arguments.optionalInteger(name, min, SECONDS_MAX);
    return seconds.isPresent()
        ? Optional.of(Duration.ofSeconds(seconds.getAsLong()))
        : Optional.empty();
  }
}
