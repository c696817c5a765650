// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-release`: ends the snapshot `name` on all its disks and frees its copies. Answers
/// with its last status.
final class ReleaseSnapshot implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct("FleecingStopArguments", List.of(Member.of("name", STRING)));

  @Override
  public String name() {
    return "x-nbdfleece-release";
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
    return SnapshotJson.of(target.release(arguments.string("name")), target);
  }
}
