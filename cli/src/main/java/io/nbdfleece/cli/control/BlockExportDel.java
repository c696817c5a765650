// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.nbd.NamedExports.Removal;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `block-export-del`: takes an export away; `safe` (default) fails while it has clients, `hard`
/// disconnects them. The event `BLOCK_EXPORT_DELETED` comes before the answer.
final class BlockExportDel implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "BlockExportDelArguments",
          List.of(
              Member.of("id", STRING),
              Member.optional(
                  "mode",
                  new QmpType.Enumeration("BlockExportRemoveMode", WireName.all(Removal.class)))));

  @Override
  public String name() {
    return "block-export-del";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    Removal removal = arguments.optionalEnum("mode", Removal.class).orElse(Removal.SAFE);
    var _ =
        EngineAnswer.await(
            "block-export-del", target.removeExport(arguments.string("id"), removal));
    return Json.object();
  }
}
