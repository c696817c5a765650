// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.EngineEvent;
import io.nbdfleece.fleecing.SnapshotStatus;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Tells all clients that have negotiated what happens. Any thread; nothing here waits for a
/// client.
///
/// All clients get events in one order. An event that is told before an answer is given comes
/// before that answer.
public final class QmpEvents {
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final List<Consumer<ByteBuffer>> followers = new ArrayList<>();

  /// Has `follower` given each event from now on, as it goes over the wire. It must not wait.
  void follow(Consumer<ByteBuffer> follower) {
    lock.lock();
    try {
      followers.add(follower);
    } finally {
      lock.unlock();
    }
  }

  void unfollow(Consumer<ByteBuffer> follower) {
    lock.lock();
    try {
      followers.remove(follower);
    } finally {
      lock.unlock();
    }
  }

  /// `BLOCK_EXPORT_DELETED`.
  public void exportDeleted(String id) {
    tell(QmpEventType.BLOCK_EXPORT_DELETED, Json.object().put("id", id));
  }

  /// `SHUTDOWN`.
  void shutdown(QmpEventType.ShutdownCause cause) {
    tell(
        QmpEventType.SHUTDOWN, Json.object().put("guest", false).put("reason", WireName.of(cause)));
  }

  /// What the engine tells.
  public void engineEvent(EngineEvent event) {
    switch (event) {
      case EngineEvent.SnapshotCreated created ->
          tell(QmpEventType.X_NBDFLEECE_SNAPSHOT_CREATED, created(created.snapshot()));
      case EngineEvent.SnapshotEnded ended -> {
        ObjectNode data = Json.object().put("name", ended.snapshot());
        ended.success().ifPresent(success -> data.put("success", success));
        ended.reason().ifPresent(reason -> data.put("reason", reason));
        tell(QmpEventType.X_NBDFLEECE_SNAPSHOT_ENDED, data);
      }
      case EngineEvent.SnapshotBroken broken ->
          tell(
              QmpEventType.X_NBDFLEECE_SNAPSHOT_BROKEN,
              Json.object()
                  .put("name", broken.snapshot())
                  .put("disk", broken.disk())
                  .put("reason", broken.reason()));
      case EngineEvent.ClusterLost lost -> {
        ObjectNode data = Json.object().put("disk", lost.disk());
        ArrayNode snapshots = data.putArray("snapshots");
        lost.snapshots().forEach(snapshots::add);
        data.put("offset", lost.offsetBytes())
            .put("length", lost.lengthBytes())
            .put("reason", lost.reason());
        tell(QmpEventType.X_NBDFLEECE_CLUSTER_LOST, data);
      }
      case EngineEvent.DiskDamaged damaged ->
          tell(QmpEventType.X_NBDFLEECE_DISK_DAMAGED, of(damaged.disk(), damaged.reason()));
      case EngineEvent.DiskDisplaced displaced ->
          tell(QmpEventType.X_NBDFLEECE_DISK_DISPLACED, of(displaced.disk(), displaced.reason()));
      case EngineEvent.StoreFilling filling ->
          tell(
              QmpEventType.X_NBDFLEECE_STORE_FILLING,
              Json.object()
                  .put("percent", filling.percent())
                  .put("used-bytes", filling.usedBytes())
                  .put("capacity-bytes", filling.capacityBytes()));
      case EngineEvent.SnapshotNearLimit near ->
          tell(
              QmpEventType.X_NBDFLEECE_SNAPSHOT_NEAR_LIMIT,
              Json.object()
                  .put("name", near.snapshot())
                  .put("limit", WireName.of(near.limit()))
                  .put("used", near.used())
                  .put("max", near.max()));
      case EngineEvent.GuestWriteSlow slow ->
          tell(
              QmpEventType.X_NBDFLEECE_GUEST_WRITE_SLOW,
              Json.object()
                  .put("disk", slow.disk())
                  .put("offset", slow.offsetBytes())
                  .put("waited-ms", TimeUnit.NANOSECONDS.toMillis(slow.waitedNanos())));
      case EngineEvent.WriteBudgetStep budget ->
          tell(
              QmpEventType.X_NBDFLEECE_WRITE_BUDGET,
              Json.object()
                  .put("disk", budget.disk())
                  .put("step", WireName.of(budget.step()))
                  .put("reason", budget.reason()));
      case EngineEvent.BitmapInconsistent inconsistent ->
          tell(
              QmpEventType.X_NBDFLEECE_BITMAP_INCONSISTENT,
              Json.object()
                  .put("node", inconsistent.disk())
                  .put("name", inconsistent.bitmap())
                  .put("reason", inconsistent.reason()));
      case EngineEvent.StateLost lost ->
          tell(QmpEventType.X_NBDFLEECE_STATE_LOST, of(lost.disk(), lost.reason()));
    }
  }

  private static ObjectNode of(String disk, String reason) {
    return Json.object().put("disk", disk).put("reason", reason);
  }

  private static ObjectNode created(SnapshotStatus snapshot) {
    ObjectNode data =
        Json.object().put("name", snapshot.name()).put("created", snapshot.created().toString());
    ArrayNode disks = data.putArray("disks");
    snapshot.disks().forEach(disk -> disks.add(disk.disk()));
    snapshot.increment().checkpoint().ifPresent(name -> data.put("checkpoint", name));
    snapshot.increment().since().ifPresent(name -> data.put("since", name));
    return data;
  }

  private void tell(QmpEventType type, ObjectNode data) {
    lock.lock();
    try {
      Instant now = Instant.now();
      ObjectNode message = Json.object();
      ObjectNode _ =
          message
              .putObject("timestamp")
              .put("seconds", now.getEpochSecond())
              .put("microseconds", TimeUnit.NANOSECONDS.toMicros(now.getNano()));
      message.put("event", type.name());
      message.set("data", data);
      ByteBuffer bytes = Outbox.bytes(message).asReadOnlyBuffer();
      followers.forEach(follower -> follower.accept(bytes));
    } finally {
      lock.unlock();
    }
  }
}
