// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A snapshot as the control socket shows it.
final class SnapshotJson {
  private static final QmpType.Struct RANGE_TYPE =
      new QmpType.Struct(
          "FleecingRange", List.of(Member.of("offset", INT64), Member.of("length", INT64)));

  private static final QmpType.Struct DISK_TYPE =
      new QmpType.Struct(
          "FleecingDiskInfo",
          List.of(
              Member.of("disk", STRING),
              Member.of("export", STRING),
              Member.of("size-bytes", INT64),
              Member.of("preserved-bytes", INT64),
              Member.of("ram-bytes", INT64),
              Member.of("disk-bytes", INT64),
              Member.of("released-bytes", INT64),
              Member.of("lost-bytes", INT64),
              Member.optional("lost", new QmpType.ArrayOf(RANGE_TYPE)),
              Member.of("clients", INT64),
              Member.optional("broken-because", STRING),
              Member.optional("since", STRING),
              Member.optional("bitmap", STRING),
              Member.optional("dirty-bytes", INT64),
              Member.of("uris", new QmpType.ArrayOf(STRING))));

  static final QmpType.Struct TYPE =
      new QmpType.Struct(
          "FleecingInfo",
          List.of(
              Member.of("name", STRING),
              Member.of("created", STRING),
              Member.of("freeze-nanos", INT64),
              Member.of("access", FleecingStart.ACCESS),
              Member.of("on-cbw-error", FleecingStart.ON_CBW_ERROR),
              Member.of("broken", BOOLEAN),
              Member.optional("checkpoint", STRING),
              Member.optional("since", STRING),
              Member.optional("outside", FleecingStart.OUTSIDE),
              Member.optional("ttl", INT64),
              Member.optional("seconds-left", INT64),
              Member.optional("idle-ttl", INT64),
              Member.optional("max-preserved", INT64),
              Member.of("disks", new QmpType.ArrayOf(DISK_TYPE))));

  private SnapshotJson() {}

  static ObjectNode of(SnapshotStatus status, ControlTarget target) {
    ObjectNode json =
        Json.object()
            .put("name", status.name())
            .put("created", status.created().toString())
            .put("freeze-nanos", status.freezeTime().toNanos())
            .put("access", WireName.of(status.access()))
            .put("on-cbw-error", WireName.of(status.onCbwError()))
            .put("broken", status.broken());
    SnapshotRequest.Increment increment = status.increment();
    increment.checkpoint().ifPresent(name -> json.put("checkpoint", name));
    increment.since().ifPresent(name -> json.put("since", name));
    if (increment.since().isPresent() || !increment.sinceByDisk().isEmpty()) {
      json.put("outside", WireName.of(increment.outside()));
    }
    Optional<Duration> ttl = status.lifetime().max();
    if (ttl.isPresent()) {
      Duration left = ttl.get().minus(status.age());
      json.put("ttl", ttl.get().toSeconds());
      json.put("seconds-left", Math.max(0, left.toSeconds()));
    }
    status.lifetime().idleMax().ifPresent(idle -> json.put("idle-ttl", idle.toSeconds()));
    status.lifetime().preservedBytesMax().ifPresent(max -> json.put("max-preserved", max));
    ArrayNode disks = json.putArray("disks");
    status.disks().forEach(disk -> disks.add(of(disk, increment, target)));
    return json;
  }

  private static ObjectNode of(
      SnapshotStatus.PerDisk disk, SnapshotRequest.Increment increment, ControlTarget target) {
    ObjectNode json =
        Json.object()
            .put("disk", disk.disk())
            .put("export", disk.exportName())
            .put("size-bytes", disk.sizeBytes())
            .put("preserved-bytes", disk.preservedBytes())
            .put("ram-bytes", disk.ramBytes())
            .put("disk-bytes", disk.diskBytes())
            .put("released-bytes", disk.releasedBytes())
            .put("lost-bytes", disk.lostBytes())
            .put("clients", disk.clients());
    if (!disk.lostRanges().isEmpty()) {
      ArrayNode lost = json.putArray("lost");
      for (SnapshotView.LostRange range : disk.lostRanges()) {
        lost.addObject().put("offset", range.offsetBytes()).put("length", range.lengthBytes());
      }
    }
    disk.brokenBecause().ifPresent(reason -> json.put("broken-because", reason));
    increment.sinceOf(disk.disk()).ifPresent(name -> json.put("since", name));
    disk.exportedBitmap().ifPresent(name -> json.put("bitmap", name));
    disk.dirtyBytes().ifPresent(bytes -> json.put("dirty-bytes", bytes));
    ArrayNode uris = json.putArray("uris");
    target.uris(disk.exportName()).forEach(uris::add);
    return json;
  }
}
