// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `query-jobs`: there are none yet, so the list is empty.
final class QueryJobs implements QmpCommand {
  static final QmpType.Enumeration JOB_TYPE = new QmpType.Enumeration("JobType", List.of("backup"));
  static final QmpType.Enumeration JOB_STATUS =
      new QmpType.Enumeration(
          "JobStatus",
          List.of(
              "undefined",
              "created",
              "running",
              "paused",
              "ready",
              "standby",
              "waiting",
              "pending",
              "aborting",
              "concluded",
              "null"));
  private static final QmpType RETURNS =
      new QmpType.ArrayOf(
          new QmpType.Struct(
              "JobInfo",
              List.of(
                  Member.of("id", STRING),
                  Member.of("type", JOB_TYPE),
                  Member.of("status", JOB_STATUS),
                  Member.of("current-progress", INT64),
                  Member.of("total-progress", INT64),
                  Member.optional("error", STRING))));

  @Override
  public String name() {
    return "query-jobs";
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
