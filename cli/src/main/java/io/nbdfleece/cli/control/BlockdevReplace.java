// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `blockdev-replace`: puts a guest's device on another node, as `qom-set` of its `drive` does.
final class BlockdevReplace implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "BlockdevReplaceArguments",
          List.of(
              Member.of("parent-type", new QmpType.Enumeration("BlockParentType", List.of("qdev"))),
              Member.of("qdev-id", STRING),
              Member.of("new-child", STRING)));

  @Override
  public String name() {
    return "blockdev-replace";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpOptions options = QmpOptions.of(arguments, ARGUMENTS);
    var _ = options.required("parent-type");
    var _ = options.choice("parent-type", List.of("qdev"));
    String device = options.string("qdev-id");
    String node = options.string("new-child");
    return GraphAnswer.done(
        () -> target.graph().setDrive(QomPath.device(device, target.graph()), node));
  }
}
