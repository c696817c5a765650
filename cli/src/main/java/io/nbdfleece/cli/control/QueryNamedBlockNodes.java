// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.graph.BlockGraph.NodeInfo;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// `query-named-block-nodes`: all nodes. `flat` is taken and changes nothing: no node shows its
/// backing images inside of it.
final class QueryNamedBlockNodes implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "QueryNamedBlockNodesArguments", List.of(Member.optional("flat", BOOLEAN)));

  @Override
  public String name() {
    return "query-named-block-nodes";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(BlockDeviceJson.TYPE);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    Map<String, Disk> disks =
        target.disks().stream()
            .collect(Collectors.toMap(disk -> disk.config().name(), Function.identity()));
    ArrayNode list = Json.array();
    for (NodeInfo node : target.nodes()) {
      Disk disk = disks.get(node.disk());
      if (disk != null) { // else it was removed just now
        list.add(BlockDeviceJson.of(node, disk.sizeBytes(), bitmaps(node, target)));
      }
    }
    return list;
  }

  /// Those of the node itself.
  private static List<BitmapInfo> bitmaps(NodeInfo node, ControlTarget target) throws IOException {
    if (!target.bitmapOwner(node.nodeName()).equals(Optional.of(node.nodeName()))) {
      return List.of();
    }
    try {
      return target.bitmaps(node.nodeName());
    } catch (NoSuchDiskException e) {
      return List.of(); // it was removed just now
    }
  }
}
