// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.ReleaseOutcome;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `backup-access-teardown`, Proxmox's: ends what `backup-access-setup` began. After `success` the
/// next one covers what was written since; else what this one would have as well.
final class BackupAccessTeardown implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "BackupAccessTeardownArguments",
          List.of(
              Member.of("target-id", STRING),
              Member.of("success", BOOLEAN),
              Member.optional("timeout", UINT32)));

  @Override
  public String name() {
    return "backup-access-teardown";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpOptions options = QmpOptions.of(arguments, ARGUMENTS);
    String targetId = options.string("target-id");
    var _ = options.required("success");
    ReleaseOutcome outcome =
        options.optionalBoolean("success").orElse(false)
            ? ReleaseOutcome.SUCCESS
            : ReleaseOutcome.FAILED;
    return GraphAnswer.done(() -> target.graph().tearDownAccess(targetId, outcome));
  }
}
