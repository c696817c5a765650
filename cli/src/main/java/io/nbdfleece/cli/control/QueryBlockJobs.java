// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `query-block-jobs`: there are none yet, so the list is empty.
final class QueryBlockJobs implements QmpCommand {
  private static final QmpType RETURNS =
      new QmpType.ArrayOf(
          new QmpType.Struct(
              "BlockJobInfo",
              List.of(
                  Member.of("type", QueryJobs.JOB_TYPE),
                  Member.of("device", STRING),
                  Member.of("len", INT64),
                  Member.of("offset", INT64),
                  Member.of("busy", BOOLEAN),
                  Member.of("paused", BOOLEAN),
                  Member.of("speed", INT64),
                  Member.of(
                      "io-status", new QmpType.Enumeration("BlockDeviceIoStatus", List.of("ok"))),
                  Member.of("ready", BOOLEAN),
                  Member.of("status", QueryJobs.JOB_STATUS),
                  Member.of("auto-finalize", BOOLEAN),
                  Member.of("auto-dismiss", BOOLEAN),
                  Member.optional("error", STRING))));

  @Override
  public String name() {
    return "query-block-jobs";
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return Json.array();
  }
}
