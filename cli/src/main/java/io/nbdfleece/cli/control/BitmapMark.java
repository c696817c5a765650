// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-bitmap-mark`: marks ranges as dirty, for changes that were made elsewhere.
final class BitmapMark implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "FleecingBitmapMarkArguments",
          List.of(
              Member.of("node", STRING),
              Member.of("name", STRING),
              Member.of("ranges", new QmpType.ArrayOf(BitmapJson.RANGE_TYPE))));

  @Override
  public String name() {
    return "x-nbdfleece-bitmap-mark";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    var _ = EngineAnswer.transact(target, List.of(action(arguments)));
    return Json.object();
  }

  static TransactionAction.MarkDirty action(QmpArguments arguments) throws QmpException {
    List<TransactionAction.Range> ranges = new ArrayList<>();
    for (QmpArguments range : arguments.objects("ranges")) {
      ranges.add(
          new TransactionAction.Range(number(range, "offset", 0), number(range, "length", 1)));
    }
    return new TransactionAction.MarkDirty(
        new BitmapRef(arguments.string("node"), arguments.string("name")), ranges);
  }

  private static long number(QmpArguments range, String name, long min) throws QmpException {
    OptionalLong value = range.optionalInteger(name, min, Long.MAX_VALUE);
    return value.orElseThrow(() -> QmpException.usage("Parameter '" + name + "' is missing"));
  }
}
