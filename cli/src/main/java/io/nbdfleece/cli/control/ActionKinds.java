// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/// The steps of transactions. Those about bitmaps are commands of their own too.
final class ActionKinds {
  static final QmpType.Struct BITMAP =
      new QmpType.Struct(
          "BlockDirtyBitmap", List.of(Member.of("node", STRING), Member.of("name", STRING)));

  /// A bitmap of the command's node by its name alone, or of any node.
  static final QmpType.Alternate BITMAP_OR_NAME =
      new QmpType.Alternate("BlockDirtyBitmapOrStr", List.of(STRING, BITMAP));

  private static final QmpType.Struct ADD =
      new QmpType.Struct(
          "BlockDirtyBitmapAdd",
          List.of(
              Member.of("node", STRING),
              Member.of("name", STRING),
              Member.optional("granularity", UINT32),
              Member.optional("persistent", BOOLEAN),
              Member.optional("disabled", BOOLEAN)));

  private static final QmpType.Struct MERGE =
      new QmpType.Struct(
          "BlockDirtyBitmapMerge",
          List.of(
              Member.of("node", STRING),
              Member.of("target", STRING),
              Member.of("bitmaps", new QmpType.ArrayOf(BITMAP_OR_NAME))));

  private static final int GRANULARITY_BYTES_MAX = 1 << 30;
  private static final long UINT32_MAX = 0xffff_ffffL;

  private ActionKinds() {}

  /// Those that are commands too.
  static final List<ActionKind> BITMAPS =
      List.of(
          new ActionKind("block-dirty-bitmap-add", ADD, ActionKinds::add),
          new ActionKind(
              "block-dirty-bitmap-remove",
              BITMAP,
              (data, target) -> new TransactionAction.RemoveBitmap(bitmap(data, target))),
          new ActionKind(
              "block-dirty-bitmap-clear",
              BITMAP,
              (data, target) -> new TransactionAction.ClearBitmap(bitmap(data, target))),
          new ActionKind(
              "block-dirty-bitmap-enable",
              BITMAP,
              (data, target) -> new TransactionAction.EnableBitmap(bitmap(data, target))),
          new ActionKind(
              "block-dirty-bitmap-disable",
              BITMAP,
              (data, target) -> new TransactionAction.DisableBitmap(bitmap(data, target))),
          new ActionKind("block-dirty-bitmap-merge", MERGE, ActionKinds::merge));

  /// `abort`: fails, for tests.
  static final ActionKind ABORT =
      new ActionKind(
          "abort", QmpType.Struct.EMPTY, (data, target) -> new TransactionAction.Abort());

  /// `fleecing-start`, as the command of that name.
  static final ActionKind FLEECING_START =
      new ActionKind(
          "fleecing-start",
          FleecingStart.ARGUMENTS,
          (data, target) ->
              new TransactionAction.TakeSnapshot(
                  FleecingStart.request(data, target.snapshotDefaults())));

  private static BitmapRef bitmap(QmpArguments data, ControlTarget target) throws QmpException {
    return new BitmapRef(NodeName.owner(data.string("node"), target), data.string("name"));
  }

  private static TransactionAction add(QmpArguments data, ControlTarget target)
      throws QmpException {
    String owner = NodeName.ownerByDevice(data.string("node"), target);
    OptionalLong granularity = data.optionalInteger("granularity", 0, UINT32_MAX);
    if (granularity.orElse(0) > GRANULARITY_BYTES_MAX) {
      throw QmpException.usage(
          "Granularity too large: "
              + granularity.getAsLong()
              + " (expected: at most "
              + GRANULARITY_BYTES_MAX
              + ")");
    }
    return new TransactionAction.AddBitmap(
        new BitmapRef(owner, data.string("name")),
        granularity.isPresent()
            ? OptionalInt.of((int) granularity.getAsLong())
            : OptionalInt.empty(),
        data.optionalBoolean("persistent").orElse(false),
        data.optionalBoolean("disabled").orElse(false));
  }

  private static TransactionAction merge(QmpArguments data, ControlTarget target)
      throws QmpException {
    String owner = NodeName.owner(data.string("node"), target);
    return new TransactionAction.MergeBitmaps(
        new BitmapRef(owner, data.string("target")),
        NodeName.bitmaps(data.elements("bitmaps"), owner, target));
  }
}
