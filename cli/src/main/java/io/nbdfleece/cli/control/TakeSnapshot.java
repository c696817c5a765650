// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.ExecutionException;
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
  private static final QmpType.Struct ARGUMENTS =
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
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    ControlTarget.SnapshotDefaults defaults = target.snapshotDefaults();
    OptionalLong timeoutSeconds = arguments.optionalInteger("cbw-timeout", 0, TIMEOUT_SECONDS_MAX);
    SnapshotRequest request =
        new SnapshotRequest(
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
    return SnapshotJson.of(await(request, target), target);
  }

  private static SnapshotStatus await(SnapshotRequest request, ControlTarget target)
      throws IOException {
    try {
      return target.snapshot(request).get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException cause) {
        throw cause;
      }
      if (e.getCause() instanceof IllegalArgumentException cause) {
        throw cause;
      }
      throw new IOException("snapshot: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("snapshot: interrupted", e);
    }
  }
}
