// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.pull.Pull;
import io.nbdfleece.cli.pull.PullOptions;
import io.nbdfleece.cli.pull.PullSummary;
import io.nbdfleece.fleecing.DiskStatistics;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.LockSupport;

/// What the demo does once the disk is served, step by step.
final class DemoScript {
  private static final long BEFORE_NANOS = 2_000_000_000L;
  private static final long MEANWHILE_NANOS = 1_000_000_000L;

  private final FleecingEngine engine;
  private final NbdUri server;
  private final DemoDirectory directory;
  private final DemoContent content;
  private final DemoOutput output;
  private final WriteJournal journal;

  DemoScript(
      FleecingEngine engine,
      NbdUri server,
      DemoDirectory directory,
      DemoContent content,
      DemoOutput output) {
    this.engine = engine;
    this.server = server;
    this.directory = directory;
    this.content = content;
    this.output = output;
    this.journal = new WriteJournal(content.blockCount());
  }

  void play() throws IOException {
    GuestWriter guest = GuestWriter.start(content, journal, server.withExportName("vda"));
    LatencyHistogram before;
    LatencyHistogram during;
    try {
      // The JVM compiles what it runs most in its first moments; they say nothing of later ones.
      letTimePass(BEFORE_NANOS / 2);
      LatencyHistogram warmUp = guest.newPhase();
      letTimePass(BEFORE_NANOS);
      guest.check();
      before = guest.latency();
      output.done(
          "guest",
          String.format(
              Locale.ROOT,
              "writes 4 KiB at random, %d at once: %,.0f/s, p50 %s, p99 %s",
              GuestWriter.QUEUE_DEPTH,
              before.count() * 1e9 / BEFORE_NANOS,
              Durations.format(before.percentileNanos(0.5)),
              Durations.format(before.percentileNanos(0.99))));
      output.figures().put("writes_before_total", warmUp.count() + before.count());
      before = guest.newPhase();
      during = freezeAndPull(guest);
    } finally {
      guest.stop();
    }
    guest.check();
    payment(before, during);
  }

  private LatencyHistogram freezeAndPull(GuestWriter guest) throws IOException {
    int[] beforeFreeze = journal.startRecording();
    SnapshotStatus snapshot = freeze();
    FrozenProof proof = new FrozenProof(content, beforeFreeze, journal.stopRecording());
    String exportName = snapshot.disks().getFirst().exportName();
    NbdUri frozen = server.withExportName(exportName);
    output.done(
        "frozen",
        exportName
            + ", guest writes were held for "
            + Durations.format(snapshot.freezeTime().toNanos()));
    output.figures().put("freeze_nanos", snapshot.freezeTime().toNanos());

    Path first = directory.file("first.img");
    pull(frozen, first, "pulled");
    guest.check();
    FrozenProof.Result result = proof.check(first);
    output.done(
        "proven",
        String.format(
            Locale.ROOT,
            "all %,d blocks are, byte for byte, what they were at the freeze",
            result.blocks()));
    if (result.visible() + result.invisible() > 0) {
      output.more(
          String.format(
              Locale.ROOT,
              "(%d writes ran meanwhile: %d in, %d out, and one instant fits them all)",
              result.visible() + result.invisible(),
              result.visible(),
              result.invisible()));
    }
    output.figures().put("blocks_proven", result.blocks());

    letTimePass(MEANWHILE_NANOS);
    Path second = directory.file("second.img");
    pull(frozen, second, "again");
    long mismatch = Files.mismatch(first, second);
    if (mismatch >= 0) {
      throw new CommandFailure(
          ExitCode.FAILED, "the frozen view CHANGED: two pulls differ at offset " + mismatch);
    }
    int changed = journal.changedSince(beforeFreeze);
    output.more(
        String.format(
            Locale.ROOT,
            "identical, though the guest has overwritten %,d blocks (%s) since the freeze",
            changed,
            ByteSize.format((long) changed * DemoContent.BLOCK_BYTES)));
    output.figures().put("blocks_overwritten", changed);
    LatencyHistogram during = guest.newPhase();
    preserved();
    release(snapshot.name());
    return during;
  }

  private SnapshotStatus freeze() throws IOException {
    SnapshotRequest request =
        new SnapshotRequest(
            List.of("vda"),
            Optional.of("now"),
            SnapshotRequest.Access.READ_ONLY,
            SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
            SnapshotRequest.CBW_TIMEOUT_DEFAULT);
    try {
      return engine.snapshot(request).get();
    } catch (ExecutionException e) {
      throw new IOException("snapshot: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private void pull(NbdUri frozen, Path file, String step) throws IOException {
    // Without fsync: the demo shows what nbdfleece does, not what this disk can.
    PullSummary summary =
        new Pull(frozen, PullOptions.toFileUnsynced(file.toString()), output.progress()).run();
    output.done(step, summary + " over " + summary.connections() + " connections");
    output.figures().put("pull_" + step + "_nanos", summary.nanos());
  }

  private void preserved() {
    StoreStatistics store = engine.storeStatistics();
    output.done(
        "preserved",
        ByteSize.format(store.usedBytes())
            + " of old content: "
            + ByteSize.format(store.ramBytes())
            + " in RAM, "
            + ByteSize.format(store.diskBytes())
            + " on disk");
    output
        .figures()
        .put("preserved_bytes", store.usedBytes())
        .put("ram_bytes", store.ramBytes())
        .put("disk_bytes", store.diskBytes());
  }

  private void release(String name) throws IOException {
    SnapshotStatus last = engine.release(name);
    if (last.broken()) {
      throw new CommandFailure(ExitCode.SNAPSHOT_BROKEN, "the demo's snapshot broke: " + last);
    }
    output.done("released", "RAM and disk space are free again");
  }

  private void payment(LatencyHistogram before, LatencyHistogram during) {
    DiskStatistics disk = engine.disks().getFirst().statistics();
    output.done(
        "guest paid",
        String.format(
            Locale.ROOT,
            "p50 %s, p99 %s, longest %s (before the snapshot: %s, %s, %s)",
            Durations.format(during.percentileNanos(0.5)),
            Durations.format(during.percentileNanos(0.99)),
            Durations.format(during.maxNanos()),
            Durations.format(before.percentileNanos(0.5)),
            Durations.format(before.percentileNanos(0.99)),
            Durations.format(before.maxNanos())));
    output.more(
        String.format(
            Locale.ROOT,
            "%,d of %,d writes had to preserve first, mean %s, longest %s; none failed",
            disk.preservingWrites(),
            disk.writes(),
            Durations.format(disk.preserveNanosTotal() / Math.max(1, disk.preservingWrites())),
            Durations.format(disk.preserveNanosMax())));
    output
        .figures()
        .put("writes_before", before.count())
        .put("writes_during", during.count())
        .put("p50_nanos_before", before.percentileNanos(0.5))
        .put("p99_nanos_before", before.percentileNanos(0.99))
        .put("p50_nanos_during", during.percentileNanos(0.5))
        .put("p99_nanos_during", during.percentileNanos(0.99))
        .put("preserving_writes", disk.preservingWrites())
        .put("write_errors", disk.writeErrors());
  }

  // The guest writes meanwhile: time is what this step is for.
  private static void letTimePass(long nanos) {
    long end = System.nanoTime() + nanos;
    for (long left = nanos; left > 0; left = end - System.nanoTime()) {
      LockSupport.parkNanos(left);
    }
  }
}
