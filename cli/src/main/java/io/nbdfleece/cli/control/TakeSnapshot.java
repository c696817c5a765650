// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.SnapshotRequest;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-snapshot`: freezes disks at one instant.
///
/// - `disks`: names; all disks when absent
/// - `name`: `snap-N` when absent
/// - `access`: `read-only` (default), `discard`, `read-once`
/// - `on-cbw-error`: `break-snapshot`, `break-guest-write`
/// - `cbw-timeout`: seconds; 0 = no limit
final class TakeSnapshot implements QmpCommand {
  private static final QmpType.Enumeration ACCESS =
      new QmpType.Enumeration("FleecingAccess", WireName.all(SnapshotRequest.Access.class));
  private static final QmpType.Enumeration ON_CBW_ERROR =
      new QmpType.Enumeration("OnCbwError", WireName.all(SnapshotRequest.OnCbwError.class));

  /// Also of the action of a transaction.
  static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "FleecingStartArguments",
          List.of(
              Member.optional("disks", new QmpType.ArrayOf(STRING)),
              Member.optional("name", STRING),
              Member.optional("access", ACCESS),
              Member.optional("on-cbw-error", ON_CBW_ERROR),
              Member.optional("cbw-timeout", UINT32)));

  private static final long TIMEOUT_SECONDS_MAX = 4_294_967_295L;

  @Override
  public String name() {
    return "x-nbdfleece-snapshot";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return QmpType.Builtin.ANY;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    SnapshotRequest request = request(arguments, target.snapshotDefaults());
    return SnapshotJson.of(EngineAnswer.await("snapshot", target.snapshot(request)), target);
  }

  /// What the arguments ask for.
  static SnapshotRequest request(QmpArguments arguments, ControlTarget.SnapshotDefaults defaults)
      throws QmpException {
    OptionalLong timeoutSeconds = arguments.optionalInteger("cbw-timeout", 0, TIMEOUT_SECONDS_MAX);
    return new SnapshotRequest(
        arguments.strings("disks"),
        arguments.optionalString("name"),
        arguments
            .optionalEnum("access", SnapshotRequest.Access.class)
            .orElse(SnapshotRequest.Access.READ_ONLY),
        arguments
            .optionalEnum("on-cbw-error", SnapshotRequest.OnCbwError.class)
            .orElse(defaults.onCbwError()),
        timeoutSeconds.isPresent()
            ? Duration.ofSeconds(timeoutSeconds.getAsLong())
            : defaults.cbwTimeout());
  }
}
