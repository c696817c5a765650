// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.hook.SnapshotView;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// A frozen view as a backup client sees it. It never changes, so any number of connections agree.
final class SnapshotExport implements Export {
  private final String snapshot;
  private final Snapshot.Part part;
  private final SnapshotView view;
  private final ExportInfo info;

  SnapshotExport(Snapshot of, Snapshot.Part part, int preferredBlockBytes) {
    this.snapshot = of.name();
    this.part = part;
    this.view = part.view();
    // TRIM needs an export that is not read-only; WRITE and WRITE_ZEROES stay refused.
    Set<Ability> abilities =
        view.terms().access() == Access.DISCARD
            ? EnumSet.of(Ability.TRIM, Ability.FLUSH, Ability.CACHE, Ability.MULTI_CONN)
            : EnumSet.of(Ability.FLUSH, Ability.CACHE, Ability.MULTI_CONN);
    this.info =
        new ExportInfo(
            view.sizeBytes(),
            // Unlike any other snapshot's, so that a client can tell whether it is still the same.
            "snapshot "
                + snapshot
                + " of disk "
                + part.disk().config().name()
                + ", frozen "
                + of.created(),
            abilities,
            part.disk().hook().blockBytes(),
            preferredBlockBytes,
            List.of(ExportInfo.BASE_ALLOCATION));
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  @Override
  public void connected() {
    part.clients().incrementAndGet();
  }

  @Override
  public void disconnected() {
    part.clients().decrementAndGet();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    view.read(offsetBytes, target, BlockCompletions.to(done));
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    done.failed(frozen());
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    if (view.terms().access() == Access.DISCARD) {
      view.discard(offsetBytes, lengthBytes, BlockCompletions.to(done));
    } else {
      done.failed(frozen());
    }
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    done.failed(frozen());
  }

  @Override
  public void flush(Completion done) {
    done.succeeded(); // nothing here is ever written
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    view.prefetch(offsetBytes, lengthBytes, BlockCompletions.to(done));
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    view.status(offsetBytes, lengthBytes, extentsMax, BlockCompletions.to(contexts, done));
  }

  private NbdException frozen() {
    return new NbdException(
        NbdError.EPERM, "snapshot " + snapshot + " is frozen; it can only be read");
  }
}
