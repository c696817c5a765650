// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.graph.BlockGraph.NodeInfo;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `query-block`: the disks that guests have, as the drives of one guest. Device, node and qdev of
/// a disk are all called as the disk is.
final class QueryBlock implements QmpCommand {
  private static final QmpType RETURNS =
      new QmpType.ArrayOf(
          new QmpType.Struct(
              "BlockInfo",
              List.of(
                  Member.of("device", STRING),
                  Member.optional("qdev", STRING),
                  Member.of("type", STRING),
                  Member.of("removable", BOOLEAN),
                  Member.of("locked", BOOLEAN),
                  Member.optional("inserted", BlockDeviceJson.TYPE),
                  Member.optional(
                      "io-status",
                      new QmpType.Enumeration("BlockDeviceIoStatus", List.of("ok"))))));

  /// A disk is the content of a raw file, whatever holds that file.
  private static final String DRIVER = "raw";

  @Override
  public String name() {
    return "query-block";
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    ArrayNode list = Json.array();
    for (Disk disk : target.disks()) {
      if (disk.config().isExported()) {
        list.add(device(disk, target));
      }
    }
    return list;
  }

  private static ObjectNode device(Disk disk, ControlTarget target) throws IOException {
    DiskConfig config = disk.config();
    NodeInfo node =
        new NodeInfo(
            config.name(),
            DRIVER,
            config.name(),
            config.location(),
            config.access() == DiskConfig.Access.READ_ONLY);
    ObjectNode json =
        Json.object()
            .put("device", config.name())
            .put("qdev", config.name())
            .put("type", "unknown")
            .put("removable", false)
            .put("locked", false)
            .put("io-status", "ok");
    json.set("inserted", BlockDeviceJson.of(node, disk.sizeBytes(), target.bitmaps(config.name())));
    return json;
  }
}
