// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.nbd.NamedExport;
import io.nbdfleece.fleecing.nbd.NamedExport.Source;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// `block-export-add`: shows a disk or the view of a snapshot to NBD clients under one more name,
/// at the address of `nbd-server-start`, or, as long as there is none, at those of `serve`.
///
/// `writethrough` would need a flush after each write, which clients ask for themselves when they
/// want it: only false is taken.
final class BlockExportAdd implements QmpCommand {
  static final QmpType.Enumeration TYPE =
      new QmpType.Enumeration("BlockExportType", List.of("nbd"));
  private static final QmpType.Struct NBD =
      new QmpType.Struct(
          "BlockExportOptionsNbd",
          List.of(
              Member.optional("name", STRING),
              Member.optional("description", STRING),
              Member.optional("bitmaps", new QmpType.ArrayOf(ActionKinds.BITMAP_OR_NAME)),
              Member.optional("allocation-depth", BOOLEAN)));
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "BlockExportOptions",
          List.of(
              Member.of("type", TYPE),
              Member.of("id", STRING),
              Member.of("node-name", STRING),
              Member.optional("writable", BOOLEAN),
              Member.optional("writethrough", BOOLEAN)),
          Optional.of(new QmpType.Variants("type", Map.of("nbd", NBD))));

  @Override
  public String name() {
    return "block-export-add";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    if (arguments.optionalBoolean("writethrough").orElse(false)) {
      throw QmpException.generic(
          "Parameter 'writethrough' does not accept value 'true': clients flush for themselves");
    }
    String node = arguments.string("node-name");
    boolean writable = arguments.optionalBoolean("writable").orElse(false);
    return GraphAnswer.done(
        () ->
            target.export(
                node, writable, () -> target.addExport(export(arguments, node, writable, target))));
  }

  private static NamedExport export(
      QmpArguments arguments, String node, boolean writable, ControlTarget target)
      throws IOException {
    Source source = NodeName.sourceOf(node, target);
    if (writable && source instanceof Source.LiveDisk && target.isReadOnly(node)) {
      throw QmpException.generic("Cannot export read-only node as writable");
    }
    return new NamedExport(
        arguments.string("id"),
        node,
        source,
        arguments.optionalString("name").orElse(node),
        writable,
        arguments.optionalString("description"),
        NodeName.shownBitmaps(arguments.elements("bitmaps"), node, target),
        arguments.optionalBoolean("allocation-depth").orElse(false));
  }
}
