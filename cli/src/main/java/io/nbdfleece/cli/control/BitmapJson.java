// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.List;
import org.roaringbitmap.RoaringBitmap;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Bitmaps and checkpoints as the control socket shows them.
final class BitmapJson {
  /// Extents in one answer: about 3 MiB of JSON.
  static final int EXTENTS_MAX = 65_536;

  static final QmpType.Struct BITMAP_TYPE =
      new QmpType.Struct(
          "FleecingBitmapInfo",
          List.of(
              Member.of("node", STRING),
              Member.of("name", STRING),
              Member.of("count", INT64),
              Member.of("granularity", UINT32),
              Member.of("recording", BOOLEAN),
              Member.of("busy", BOOLEAN),
              Member.of("persistent", BOOLEAN),
              Member.of("inconsistent", BOOLEAN),
              Member.of("checkpoint", BOOLEAN)));

  static final QmpType.Struct CHECKPOINT_TYPE =
      new QmpType.Struct(
          "FleecingCheckpointInfo",
          List.of(
              Member.of("disk", STRING),
              Member.of("name", STRING),
              Member.of("created", STRING),
              Member.optional("since", STRING),
              Member.of("granularity", UINT32),
              Member.of("own-dirty-bytes", INT64),
              Member.of("since-dirty-bytes", INT64),
              Member.optional("pending-snapshot", STRING),
              Member.of("persistent", BOOLEAN),
              Member.of("inconsistent", BOOLEAN)));

  static final QmpType.Struct RANGE_TYPE =
      new QmpType.Struct(
          "FleecingRange", List.of(Member.of("offset", INT64), Member.of("length", INT64)));

  static final QmpType.Struct DUMP_TYPE =
      new QmpType.Struct(
          "FleecingBitmapDump",
          List.of(
              Member.of("node", STRING),
              Member.of("name", STRING),
              Member.of("size-bytes", INT64),
              Member.of("granularity", UINT32),
              Member.of("dirty-bytes", INT64),
              Member.of("extents", new QmpType.ArrayOf(RANGE_TYPE)),
              Member.optional("next-offset", INT64)));

  private BitmapJson() {}

  static ObjectNode of(String disk, BitmapInfo bitmap) {
    return Json.object()
        .put("node", disk)
        .put("name", bitmap.name())
        .put("count", bitmap.dirtyBytes())
        .put("granularity", bitmap.granularityBytes())
        .put("recording", bitmap.recording())
        .put("busy", bitmap.busy())
        .put("persistent", bitmap.persistent())
        .put("inconsistent", bitmap.inconsistent())
        .put("checkpoint", bitmap.checkpoint());
  }

  static ObjectNode of(CheckpointInfo checkpoint) {
    ObjectNode json =
        Json.object()
            .put("disk", checkpoint.disk())
            .put("name", checkpoint.name())
            .put("created", checkpoint.created().toString());
    checkpoint.since().ifPresent(name -> json.put("since", name));
    json.put("granularity", checkpoint.granularityBytes())
        .put("own-dirty-bytes", checkpoint.ownDirtyBytes())
        .put("since-dirty-bytes", checkpoint.sinceDirtyBytes());
    checkpoint.pendingSnapshot().ifPresent(name -> json.put("pending-snapshot", name));
    return json.put("persistent", checkpoint.persistent())
        .put("inconsistent", checkpoint.inconsistent());
  }

  /// The dirty extents from `fromBytes` on, at most so many, and where to go on if there are more.
  static ObjectNode dump(GranuleSet set, long fromBytes, int extentsMax) {
    ObjectNode json =
        Json.object()
            .put("size-bytes", set.sizeBytes())
            .put("granularity", set.granularityBytes())
            .put("dirty-bytes", set.dirtyBytes());
    ArrayNode extents = json.putArray("extents");
    RoaringBitmap granules = set.granules();
    long granuleBytes = set.granularityBytes();
    long first = next(granules, fromBytes / granuleBytes);
    while (first >= 0) {
      if (extents.size() == extentsMax) {
        json.put("next-offset", first * granuleBytes);
        break;
      }
      long end = granules.nextAbsentValue((int) first);
      long startBytes = Math.max(fromBytes, first * granuleBytes);
      long endBytes = Math.min(set.sizeBytes(), end * granuleBytes);
      extents.addObject().put("offset", startBytes).put("length", endBytes - startBytes);
      first = next(granules, end);
    }
    return json;
  }

  private static long next(RoaringBitmap granules, long from) {
    return from > 0xFFFF_FFFFL ? -1 : granules.nextValue((int) from);
  }
}
