// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.TrackingNode;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.block.NodeAbility;
import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.WriteTerms;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.jspecify.annotations.Nullable;

/// Puts the chain of a disk together, and takes it down.
///
/// ```
///   hook ─▶ tracking ─▶ backend
/// ```
final class DiskOpening {
  private final EngineConfig config;
  private final ClusterStore store;
  private final EngineThreads threads;
  private final Optional<DiskStates> states;
  private final EventHub events;
  private final WriteTerms writeTerms;

  DiskOpening(
      EngineConfig config,
      ClusterStore store,
      EngineThreads threads,
      Optional<DiskStates> states,
      EventHub events,
      WriteTerms writeTerms) {
    this.writeTerms = writeTerms;
    this.config = config;
    this.store = store;
    this.threads = threads;
    this.states = states;
    this.events = events;
  }

  /// Opens and locks the file that the configuration names.
  BlockNode openFile(DiskConfig diskConfig) throws IOException {
    LinuxFile.Access access =
        switch (diskConfig.access()) {
          case READ_WRITE -> LinuxFile.Access.READ_WRITE;
          case READ_ONLY -> LinuxFile.Access.READ_ONLY;
        };
    try {
      return FileNode.open(Path.of(diskConfig.location()), access, threads.workers());
    } catch (ImageInUseException e) {
      throw new DiskBusyException("disk " + diskConfig.name() + ": " + e.getMessage());
    } catch (IOException e) {
      throw new IOException("disk " + diskConfig.name() + ": " + e.getMessage(), e);
    }
  }

  /// Builds the chain on a backend and recovers the bitmaps. Closes the backend when it fails.
  ServedDisk serve(DiskConfig diskConfig, BlockNode node) throws IOException {
    Optional<DiskState> state = Optional.empty();
    try {
      requireFit(diskConfig, node);
      LostState lost = new LostState(diskConfig.name());
      state = openState(diskConfig, node, lost);
      TrackingNode tracked = new TrackingNode(node);
      FleecingHook hook =
          new FleecingHook(
              diskConfig.name(),
              tracked,
              store,
              threads.workers(),
              threads::nanoTime,
              events,
              writeTerms);
      DiskTracking tracking = tracking(diskConfig, node, tracked, state);
      lost.tell(tracking);
      Optional<FileNode> file =
          node instanceof FileNode found ? Optional.of(found) : Optional.empty();
      ServedDisk disk = new ServedDisk(diskConfig, file, hook, tracking);
      TrackingRecovery.settle(disk, threads.wallTime());
      return disk;
    } catch (IllegalArgumentException e) {
      state.ifPresent(DiskState::close);
      node.close();
      throw new IOException("disk " + diskConfig.name() + ": " + e.getMessage(), e);
    } catch (IOException | RuntimeException e) {
      state.ifPresent(DiskState::close);
      node.close();
      throw e;
    }
  }

  private Optional<DiskState> openState(DiskConfig diskConfig, BlockNode node, LostState lost)
      throws IOException {
    if (states.isEmpty()) {
      return Optional.empty();
    }
    Optional<DiskIdentity> identity = states.get().identity(diskConfig, node);
    return identity.isEmpty()
        ? Optional.empty()
        : Optional.of(
            states
                .get()
                .disk(diskConfig.name(), identity.get(), threads.workers(), lost::happened));
  }

  private DiskTracking tracking(
      DiskConfig diskConfig, BlockNode node, TrackingNode tracked, Optional<DiskState> state) {
    DiskBitmaps found =
        state
            .map(s -> TrackingRecovery.load(diskConfig.name(), node.sizeBytes(), s, events))
            .orElseGet(() -> DiskBitmaps.of(diskConfig.name(), node.sizeBytes(), List.of()));
    String volatileBecause =
        node instanceof FileNode
            ? "there is no state directory: serve with --state DIR"
            : "the disk is on another server";
    return new DiskTracking(
        tracked::track, found, state, volatileBecause, diskConfig.skipUnchanged());
  }

  /// Hears that bitmaps of a disk will not outlive the process, perhaps before there are any.
  private final class LostState {
    private final String disk;
    private @Nullable DiskTracking tracking;
    private boolean lost;

    LostState(String disk) {
      this.disk = disk;
    }

    void happened(String reason) {
      synchronized (this) {
        lost = true;
        if (tracking != null) {
          tracking.loseState();
        }
      }
      events.stateLost(disk, reason); // last: who hears it may take a full backup at once
    }

    synchronized void tell(DiskTracking of) {
      tracking = of;
      if (lost) {
        of.loseState();
      }
    }
  }

  private void requireFit(DiskConfig diskConfig, BlockNode node) throws IOException {
    if (diskConfig.access() == DiskConfig.Access.READ_WRITE
        && !node.abilities().contains(NodeAbility.WRITE)) {
      throw new IOException(
          "disk " + diskConfig.name() + ": upstream is read-only: serve it with --read-only");
    }
    if (node.blockBytes() > config.clusterBytes()) {
      throw new IOException(
          "disk "
              + diskConfig.name()
              + ": upstream takes whole blocks of "
              + node.blockBytes()
              + " bytes only: choose a --cluster-size of at least that");
    }
  }

  /// Keeps the bitmaps, syncs the data, closes. No write may be in flight any more.
  void close(ServedDisk disk) throws IOException {
    Failures failures = new Failures();
    failures.run(() -> keepBitmaps(disk));
    failures.run(
        () -> {
          try {
            disk.hook().close();
          } catch (IOException e) {
            throw new IOException("disk " + disk.config().name() + ": " + e.getMessage(), e);
          }
        });
    failures.rethrow();
  }

  private void keepBitmaps(ServedDisk disk) throws IOException {
    try {
      if (disk.tracking().stateToClose().isPresent()) {
        sync(disk);
      }
      TrackingRecovery.settle(disk, threads.wallTime());
      TrackingRecovery.closeClean(disk);
    } catch (IOException | RuntimeException | Error e) {
      // As after a kill: the next start finds what is there.
      Optional<DiskState> state = disk.tracking().stateToClose();
      state.ifPresent(DiskState::close);
      throw new IOException(
          "disk "
              + disk.config().name()
              + ": its bitmaps could not be closed: "
              + e.getMessage()
              + (state.filter(DiskState::isLost).isPresent()
                  ? "; they are lost: take a full backup after the next start"
                  : "; none is lost, the next start takes them over as after a kill: before it,"
                      + " make room there or mend what is wrong"),
          e);
    }
  }

  private static void sync(ServedDisk disk) throws IOException {
    CompletableFuture<Void> synced = new CompletableFuture<>();
    disk.hook()
        .flush(
            new Completion() {
              @Override
              public void succeeded() {
                synced.complete(null);
              }

              @Override
              public void failed(IOException error) {
                synced.completeExceptionally(error);
              }
            });
    try {
      synced.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof IOException cause ? cause : new IOException(e);
    }
  }

  void close() throws IOException {
    if (states.isPresent()) {
      states.get().close();
    }
  }
}
