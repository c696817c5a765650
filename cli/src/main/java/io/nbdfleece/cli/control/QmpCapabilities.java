// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `qmp_capabilities`: ends the negotiation. The session sees to when; this checks what is asked
/// for, and there is nothing to be had: commands of one client run one after the other, so that
/// `oob` would be a lie.
final class QmpCapabilities implements QmpCommand {
  static final String NAME = "qmp_capabilities";
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "QmpCapabilitiesArguments",
          List.of(
              Member.optional(
                  "enable",
                  new QmpType.ArrayOf(new QmpType.Enumeration("QMPCapability", List.of("oob"))))));

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws QmpException {
    List<String> wanted = arguments.strings("enable");
    if (!wanted.isEmpty()) {
      throw QmpException.usage("Capability " + ShownNames.list(wanted) + " not available");
    }
    return Json.object();
  }
}
