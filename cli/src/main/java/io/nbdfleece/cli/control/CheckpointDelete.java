// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-checkpoint-delete`: forgets a checkpoint, on all disks that have it or on those
/// named, all at once. What was written since it belongs to the one before it from then on.
final class CheckpointDelete implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "FleecingCheckpointDeleteArguments",
          List.of(
              Member.of("name", STRING), Member.optional("disks", new QmpType.ArrayOf(STRING))));

  @Override
  public String name() {
    return "x-nbdfleece-checkpoint-delete";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    String name = arguments.string("name");
    List<String> disks = arguments.strings("disks");
    if (disks.isEmpty()) {
      disks = disksThatHave(name, target);
    }
    List<TransactionAction> actions = new ArrayList<>();
    disks.forEach(disk -> actions.add(new TransactionAction.DeleteCheckpoint(disk, name)));
    var _ = EngineAnswer.transact(target, actions);
    return Json.object();
  }

  private static List<String> disksThatHave(String name, ControlTarget target) throws IOException {
    List<String> disks = new ArrayList<>();
    for (String disk : DiskNames.oneOrAll(Optional.empty(), target)) {
      if (target.engine().checkpoints(disk).stream().anyMatch(c -> c.name().equals(name))) {
        disks.add(disk);
      }
    }
    if (disks.isEmpty()) {
      throw new BitmapException(
          BitmapException.Reason.NOT_FOUND,
          "no disk has a checkpoint \"" + name + "\": see `nbdfleece checkpoint list`");
    }
    return disks;
  }
}
