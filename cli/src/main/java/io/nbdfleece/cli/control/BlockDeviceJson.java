// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.graph.BlockGraph.NodeInfo;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A node as QEMU's `BlockDeviceInfo`: every member that QEMU's clients may count on, and of the
/// optional ones those that there is something to say about.
final class BlockDeviceJson {
  /// QEMU's names of limits, all of which are 0 = none: limits belong to throttle nodes.
  private static final List<String> NO_LIMITS =
      List.of("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr");

  private static final QmpType.Struct BITMAP =
      new QmpType.Struct(
          "BlockDirtyInfo",
          List.of(
              Member.optional("name", STRING),
              Member.of("count", INT64),
              Member.of("granularity", INT64),
              Member.of("recording", BOOLEAN),
              Member.of("busy", BOOLEAN),
              Member.of("persistent", BOOLEAN),
              Member.optional("inconsistent", BOOLEAN)));

  private static final QmpType.Struct IMAGE =
      new QmpType.Struct(
          "ImageInfo",
          List.of(
              Member.of("filename", STRING),
              Member.of("format", STRING),
              Member.optional("dirty-flag", BOOLEAN),
              Member.of("virtual-size", INT64)));

  private static final QmpType.Struct CACHE =
      new QmpType.Struct(
          "BlockdevCacheInfo",
          List.of(
              Member.of("writeback", BOOLEAN),
              Member.of("direct", BOOLEAN),
              Member.of("no-flush", BOOLEAN)));

  static final QmpType.Struct TYPE = new QmpType.Struct("BlockDeviceInfo", members());

  private BlockDeviceJson() {}

  private static List<Member> members() {
    List<Member> members = new ArrayList<>();
    members.add(Member.of("file", STRING));
    members.add(Member.optional("node-name", STRING));
    members.add(Member.of("ro", BOOLEAN));
    members.add(Member.of("drv", STRING));
    members.add(Member.of("backing_file_depth", INT64));
    members.add(Member.of("active", BOOLEAN));
    members.add(Member.of("encrypted", BOOLEAN));
    members.add(Member.of("detect_zeroes", BlockdevTypes.DETECT_ZEROES));
    NO_LIMITS.forEach(name -> members.add(Member.of(name, INT64)));
    members.add(Member.of("image", IMAGE));
    members.add(Member.of("cache", CACHE));
    members.add(Member.of("write_threshold", INT64));
    members.add(Member.optional("dirty-bitmaps", new QmpType.ArrayOf(BITMAP)));
    return members;
  }

  /// @param bitmaps those of the node itself
  static ObjectNode of(NodeInfo node, long sizeBytes, List<BitmapInfo> bitmaps) {
    ObjectNode json =
        Json.object()
            .put("file", node.filename())
            .put("node-name", node.nodeName())
            .put("ro", node.readOnly())
            .put("drv", node.driver())
            .put("backing_file_depth", 0)
            .put("active", true)
            .put("encrypted", false)
            .put("detect_zeroes", "off");
    NO_LIMITS.forEach(name -> json.put(name, 0));
    ObjectNode _ =
        json.putObject("image")
            .put("filename", node.filename())
            .put("format", node.driver())
            .put("virtual-size", sizeBytes)
            .put("dirty-flag", false);
    ObjectNode _ =
        json.putObject("cache").put("writeback", true).put("direct", false).put("no-flush", false);
    json.put("write_threshold", 0);
    if (!bitmaps.isEmpty()) {
      ArrayNode list = json.putArray("dirty-bitmaps");
      bitmaps.forEach(bitmap -> list.add(of(bitmap)));
    }
    return json;
  }

  private static ObjectNode of(BitmapInfo bitmap) {
    ObjectNode json =
        Json.object()
            .put("name", bitmap.name())
            .put("count", bitmap.dirtyBytes())
            .put("granularity", bitmap.granularityBytes())
            .put("recording", bitmap.recording())
            .put("busy", bitmap.busy())
            .put("persistent", bitmap.persistent());
    if (bitmap.inconsistent()) {
      json.put("inconsistent", true);
    }
    return json;
  }
}
