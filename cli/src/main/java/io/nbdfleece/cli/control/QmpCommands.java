// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.SchemaInfo;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// The commands that the control socket knows, and the two that tell of them.
final class QmpCommands {
  private final Map<String, QmpCommand> byName = new LinkedHashMap<>();

  QmpCommands() {
    List<QmpCommand> all = new ArrayList<>();
    all.addAll(session());
    all.addAll(block());
    all.addAll(graph());
    all.addAll(own());
    for (QmpCommand command : all) {
      if (byName.putIfAbsent(command.name(), command) != null) {
        throw new IllegalStateException("two commands are called " + command.name());
      }
    }
  }

  /// About the server.
  private List<QmpCommand> session() {
    return List.of(
        new QmpCapabilities(),
        new QueryVersion(),
        new QueryCommands(),
        new QueryQmpSchema(),
        new QueryStatus(),
        new QueryName(),
        new QueryTpm(),
        new Quit());
  }

  /// About disks, in QEMU's words.
  private static List<QmpCommand> block() {
    List<QmpCommand> block = new ArrayList<>();
    ActionKinds.BITMAPS.forEach(kind -> block.add(new ActionCommand(kind)));
    block.add(new Transaction());
    block.add(new NbdServerStart());
    block.add(new NbdServerStop());
    block.add(new BlockExportAdd());
    block.add(new BlockExportDel());
    block.add(new QueryBlockExports());
    block.add(new QueryBlock());
    block.add(new QueryNamedBlockNodes());
    block.add(new QueryJobs());
    block.add(new QueryBlockJobs());
    return block;
  }

  /// About nodes and what stands on what, in QEMU's words; and Proxmox's two.
  private static List<QmpCommand> graph() {
    return List.of(
        new BlockdevAdd(),
        new BlockdevDel(),
        new BlockdevReopen(),
        new BlockdevReplace(),
        new ObjectAdd(),
        new ObjectDel(),
        new QomSet(),
        new QomGet(),
        new QomList(),
        new BackupAccessSetup(),
        new BackupAccessTeardown());
  }

  /// In our words.
  private static List<QmpCommand> own() {
    return List.of(
        new FleecingStart(),
        new FleecingStop(),
        new QueryFleecing(),
        new QueryBitmaps(),
        new BitmapDump(),
        new BitmapMark(),
        new QueryCheckpoints(),
        new CheckpointDelete(),
        new QueryDisks(),
        new QueryStore(),
        new CacheResize());
  }

  Optional<QmpCommand> find(String name) {
    return Optional.ofNullable(byName.get(name));
  }

  /// All of them.
  List<QmpCommand> all() {
    return List.copyOf(byName.values());
  }

  /// `query-commands`: the names of all, as QEMU answers it.
  private final class QueryCommands implements QmpCommand {
    private static final QmpType RETURNS =
        new QmpType.ArrayOf(new QmpType.Struct("CommandInfo", List.of(Member.of("name", STRING))));

    @Override
    public String name() {
      return "query-commands";
    }

    @Override
    public QmpType returns() {
      return RETURNS;
    }

    @Override
    public JsonNode execute(QmpArguments arguments, ControlTarget target) {
      ArrayNode list = Json.array();
      byName.keySet().stream().sorted().forEach(name -> list.addObject().put("name", name));
      return list;
    }
  }

  /// `query-qmp-schema`: the commands and events with the types that they are checked against.
  private final class QueryQmpSchema implements QmpCommand {
    private static final QmpType RETURNS = new QmpType.ArrayOf(SchemaInfo.SHAPE);

    @Override
    public String name() {
      return "query-qmp-schema";
    }

    @Override
    public QmpType returns() {
      return RETURNS;
    }

    @Override
    public JsonNode execute(QmpArguments arguments, ControlTarget target) {
      SchemaInfo schema = new SchemaInfo();
      byName
          .values()
          .forEach(
              command -> schema.command(command.name(), command.arguments(), command.returns()));
      for (QmpEventType event : QmpEventType.values()) {
        schema.event(event.name(), event.data());
      }
      return schema.finish();
    }
  }
}
