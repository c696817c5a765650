// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.EngineEvent;
import java.util.List;

/// The events that there are. Those that QEMU has too are named and made as there.
enum QmpEventType {
  /// An export is gone. Comes before the answer of the command that took it away.
  BLOCK_EXPORT_DELETED(Member.of("id", STRING)),

  /// The server ends.
  SHUTDOWN(
      Member.of("guest", BOOLEAN),
      Member.of(
          "reason", new QmpType.Enumeration("ShutdownCause", WireName.all(ShutdownCause.class)))),

  /// `since`: the checkpoint or bitmap that it covers the changes of.
  X_NBDFLEECE_SNAPSHOT_CREATED(
      Member.of("name", STRING),
      Member.of("created", STRING),
      Member.of("disks", new QmpType.ArrayOf(STRING)),
      Member.optional("checkpoint", STRING),
      Member.optional("since", STRING)),

  /// `success`: for a snapshot with a checkpoint, whether it stands; `reason`: why it ended when
  /// nobody asked for it.
  X_NBDFLEECE_SNAPSHOT_ENDED(
      Member.of("name", STRING),
      Member.optional("success", BOOLEAN),
      Member.optional("reason", STRING)),

  /// One disk of a snapshot yields no data any more.
  X_NBDFLEECE_SNAPSHOT_BROKEN(
      Member.of("name", STRING), Member.of("disk", STRING), Member.of("reason", STRING)),

  /// Snapshots of the disk lack a range, and are whole else.
  X_NBDFLEECE_CLUSTER_LOST(
      Member.of("disk", STRING),
      Member.of("snapshots", new QmpType.ArrayOf(STRING)),
      Member.of("offset", SIZE),
      Member.of("length", SIZE),
      Member.of("reason", STRING)),

  /// Somebody else has cut what the disk lies in: part of it is lost.
  X_NBDFLEECE_DISK_DAMAGED(Member.of("disk", STRING), Member.of("reason", STRING)),

  /// The disk's file was deleted, renamed, or replaced by another one of its name.
  X_NBDFLEECE_DISK_DISPLACED(Member.of("disk", STRING), Member.of("reason", STRING)),

  /// Preserved data takes so much of what RAM and disk tier can hold: 70, 80, 90 or 95 percent,
  /// each told when it is passed, and again only after it was 5 points below.
  X_NBDFLEECE_STORE_FILLING(
      Member.of("percent", UINT32),
      Member.of("used-bytes", SIZE),
      Member.of("capacity-bytes", SIZE)),

  /// A snapshot has used up 80 % of one of its limits: `ttl`, in seconds, when it ends, or
  /// `max-preserved`, in bytes, when it breaks.
  X_NBDFLEECE_SNAPSHOT_NEAR_LIMIT(
      Member.of("name", STRING),
      Member.of(
          "limit", new QmpType.Enumeration("FleecingLimit", WireName.all(EngineEvent.Limit.class))),
      Member.of("used", SIZE),
      Member.of("max", SIZE)),

  /// A guest's write has waited for so long, and waits still, for the old data at an offset to be
  /// preserved.
  X_NBDFLEECE_GUEST_WRITE_SLOW(
      Member.of("disk", STRING), Member.of("offset", SIZE), Member.of("waited-ms", SIZE)),

  /// Something is given up, or taken up again, so that guest writes keep within `--write-budget`.
  X_NBDFLEECE_WRITE_BUDGET(
      Member.of("disk", STRING),
      Member.of("step", DiskJson.BUDGET_STEP),
      Member.of("reason", STRING)),

  /// A bitmap or checkpoint cannot be used any more: the next backup must be full.
  X_NBDFLEECE_BITMAP_INCONSISTENT(
      Member.of("node", STRING), Member.of("name", STRING), Member.of("reason", STRING)),

  /// Bitmaps of the disk go on in memory, but will not outlive the process.
  X_NBDFLEECE_STATE_LOST(Member.of("disk", STRING), Member.of("reason", STRING));

  @SuppressWarnings("ImmutableEnumChecker") // A record of records.
  private final QmpType.Struct data;

  QmpEventType(Member... members) {
    this.data = new QmpType.Struct(name() + "Data", List.of(members));
  }

  QmpType.Struct data() {
    return data;
  }

  /// Why the server ends, as QEMU says it.
  enum ShutdownCause {
    HOST_QMP_QUIT,
    HOST_SIGNAL
  }
}
