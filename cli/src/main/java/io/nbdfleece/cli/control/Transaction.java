// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.ANY;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.FleecingEngine.TransactionResult;
import io.nbdfleece.fleecing.TransactionAction;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `transaction`: all steps at one instant, or none. The answer is empty, as QEMU's, unless a step
/// took a snapshot.
///
/// `completion-mode` is about jobs that steps start: `grouped`, all or none of them, holds for
/// whatever is done here, so that both modes are taken.
final class Transaction implements QmpCommand {
  /// In the answer when a snapshot was taken: what `fleecing-start` answers.
  static final String SNAPSHOT = "x-nbdfleece-snapshot";

  private static final Map<String, ActionKind> KINDS = kinds();
  private static final QmpType.Struct ACTION =
      new QmpType.Struct(
          "TransactionAction",
          List.of(
              Member.of(
                  "type",
                  new QmpType.Enumeration("TransactionActionKind", List.copyOf(KINDS.keySet())))),
          Optional.of(new QmpType.Variants("type", wrappers())));
  private static final QmpType.Struct PROPERTIES =
      new QmpType.Struct(
          "TransactionProperties",
          List.of(
              Member.optional(
                  "completion-mode",
                  new QmpType.Enumeration(
                      "ActionCompletionMode", List.of("individual", "grouped")))));
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "TransactionArguments",
          List.of(
              Member.of("actions", new QmpType.ArrayOf(ACTION)),
              Member.optional("properties", PROPERTIES)));
  private static final QmpType.Struct RETURNS =
      new QmpType.Struct("TransactionAnswer", List.of(Member.optional(SNAPSHOT, ANY)));

  private static Map<String, ActionKind> kinds() {
    Map<String, ActionKind> kinds = new LinkedHashMap<>();
    kinds.put(ActionKinds.ABORT.name(), ActionKinds.ABORT);
    ActionKinds.BITMAPS.forEach(kind -> kinds.put(kind.name(), kind));
    kinds.put(ActionKinds.FLEECING_START.name(), ActionKinds.FLEECING_START);
    return kinds;
  }

  private static Map<String, QmpType.Struct> wrappers() {
    Map<String, QmpType.Struct> wrappers = new LinkedHashMap<>();
    KINDS.forEach(
        (name, kind) ->
            wrappers.put(
                name,
                new QmpType.Struct(
                    kind.data().name() + "Wrapper", List.of(Member.of("data", kind.data())))));
    return wrappers;
  }

  @Override
  public String name() {
    return "transaction";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    List<TransactionAction> actions = new ArrayList<>();
    for (QmpArguments action : arguments.objects("actions")) {
      ActionKind kind = KINDS.get(action.string("type"));
      if (kind == null) {
        throw new IllegalStateException("an action that the schema does not know");
      }
      actions.add(kind.reader().read(action.object("data"), target));
    }
    ObjectNode answer = Json.object();
    if (actions.isEmpty()) {
      return answer;
    }
    TransactionResult result = EngineAnswer.transact(target, actions);
    result
        .snapshot()
        .ifPresent(snapshot -> answer.set(SNAPSHOT, SnapshotJson.of(snapshot, target)));
    return answer;
  }
}
