// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// The commands that the control socket knows. `qmp_capabilities` is not among them: it belongs to
/// the session.
final class QmpCommands {
  private final Map<String, QmpCommand> byName;

  QmpCommands() {
    byName =
        List.of(
                new QueryVersion(),
                new QueryStatus(),
                new Quit(),
                new TakeSnapshot(),
                new ReleaseSnapshot(),
                new QuerySnapshots(),
                new QueryDisks(),
                new QueryStore(),
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
                new BackupAccessTeardown(),
                new QueryCommands())
            .stream()
            .collect(Collectors.toUnmodifiableMap(QmpCommand::name, Function.identity()));
  }

  Optional<QmpCommand> find(String name) {
    return Optional.ofNullable(byName.get(name));
  }

  /// `query-commands`: the names of all, as QEMU answers it.
  private final class QueryCommands implements QmpCommand {
    @Override
    public String name() {
      return "query-commands";
    }

    @Override
    public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
      ArrayNode list = Json.array();
      list.addObject().put("name", QmpSession.CAPABILITIES);
      byName.keySet().stream().sorted().forEach(name -> list.addObject().put("name", name));
      return list;
    }
  }
}
