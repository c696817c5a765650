// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Variants;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// `object-add` of a `throttle-group`. Its limits are given as `limits`, or each as `x-NAME`.
final class ObjectAdd implements QmpCommand {
  private static final String GROUP = "throttle-group";
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "ObjectOptions",
          List.of(
              Member.of("qom-type", new QmpType.Enumeration("ObjectType", List.of(GROUP))),
              Member.of("id", STRING)),
          Optional.of(
              new Variants(
                  "qom-type",
                  Map.of(GROUP, new QmpType.Struct("ThrottleGroupProperties", members())))));

  private static List<Member> members() {
    List<Member> members = new ArrayList<>();
    members.add(Member.optional("limits", ThrottleLimitsJson.TYPE));
    members.addAll(ThrottleLimitsJson.members("x-"));
    return members;
  }

  @Override
  public String name() {
    return "object-add";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpOptions options = QmpOptions.of(arguments, ARGUMENTS);
    options.requireKnown(ARGUMENTS);
    String id = options.string("id");
    Map<String, Long> values = ThrottleLimitsJson.read(options, "x-");
    Optional<QmpOptions> limits = options.optionalObject("limits");
    if (limits.isPresent()) {
      limits.get().requireKnown(ThrottleLimitsJson.TYPE);
      values.putAll(ThrottleLimitsJson.read(limits.get(), ""));
    }
    return GraphAnswer.done(
        () -> target.graph().addThrottleGroup(id, ThrottleLimits.NONE.with(values)));
  }
}
