// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotStatus;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// `fleecing-stop`: ends the snapshot `name` on all its disks and frees its copies. Answers with
/// its last status. `success` says what became of the backup: true keeps the checkpoint that the
/// snapshot started, false takes it back. A snapshot with a checkpoint does not end without it.
final class FleecingStop implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "FleecingStopArguments",
          List.of(Member.of("name", STRING), Member.optional("success", BOOLEAN)));

  @Override
  public String name() {
    return "fleecing-stop";
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
    String name = arguments.string("name");
    Optional<Boolean> success = arguments.optionalBoolean("success");
    SnapshotStatus last =
        success.isPresent()
            ? target.release(name, success.get() ? ReleaseOutcome.SUCCESS : ReleaseOutcome.FAILED)
            : target.release(name);
    return SnapshotJson.of(last, target);
  }
}
