// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// A state directory over simulated files: what [StateDirectory] does with real ones. It outlives
/// the servers that use it one after the other.
public final class SimulatedStateDirectory {
  /// In the text of each error of a file, and of no other.
  public static final String ERROR_TEXT = "simulated ENOSPC of the state directory";

  private static final long EPOCH_NANOS = 1_700_000_000_000_000_000L;

  private final SimulatedFiles root;
  private final Map<String, SimulatedFiles> folders = new TreeMap<>();
  private final Machine machine;
  private Map<String, FileDiskState> opened = new LinkedHashMap<>();
  private @Nullable JointCommit joint;

  /// The clock, and how often the machine was started.
  private static final class Machine implements Host {
    private final LongSupplier clock;
    private int boots = 1;
    private long bootedNanos;

    Machine(LongSupplier clock) {
      this.clock = clock;
    }

    @Override
    public long epochNanos() {
      return EPOCH_NANOS + clock.getAsLong();
    }

    @Override
    public long nanoTime() {
      return clock.getAsLong();
    }

    @Override
    public String bootId() {
      return "boot-" + boots;
    }

    @Override
    public long bootedEpochNanos() {
      return EPOCH_NANOS + bootedNanos;
    }
  }

  /// @param meanwhile whatever happens while a file is waited for
  /// @param fails whether a call is to fail
  public SimulatedStateDirectory(
      Random random,
      LongSupplier clock,
      Runnable meanwhile,
      java.util.function.BooleanSupplier fails) {
    this.machine = new Machine(clock);
    this.root = new SimulatedFiles(random);
    root.interleave = meanwhile;
    root.fault =
        operation -> {
          if (fails.getAsBoolean()) {
            throw new IllegalStateException(ERROR_TEXT + ": " + operation);
          }
        };
  }

  /// Time as the disks' files have it.
  public long epochNanos(long nanos) {
    return EPOCH_NANOS + nanos;
  }

  /// A server begins to use it.
  public void start() throws IOException {
    opened = new LinkedHashMap<>();
    joint =
        JointCommit.open(
            root,
            () ->
                folders.entrySet().stream()
                    .filter(each -> each.getValue().names().contains(BitmapList.NEXT))
                    .map(Map.Entry::getKey)
                    .toList());
  }

  /// As [StateDirectory#disk].
  public DiskState disk(String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
      throws IOException {
    String name = FolderName.of(disk);
    SimulatedFiles files = folders.computeIfAbsent(name, _ -> new SimulatedFiles(root));
    JointCommit commit = Objects.requireNonNull(joint);
    FileDiskState state =
        FileDiskState.open(disk, files, identity, workers, machine, lost, commit.decided(name));
    commit.settled(name);
    opened.put(disk, state);
    return state;
  }

  /// As [StateDirectory#commit].
  public void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException {
    Map<FileDiskState, List<BitmapRecord>> ours = new LinkedHashMap<>();
    lists.forEach((state, records) -> ours.put((FileDiskState) state, records));
    Objects.requireNonNull(joint).commit(ours);
  }

  /// To be called every second.
  public void beat() {
    Map<String, FileDiskState> now = opened;
    List.copyOf(now.entrySet())
        .forEach(
            each -> {
              if (!each.getValue().beat()) {
                boolean _ = now.remove(each.getKey(), each.getValue());
              }
            });
  }

  /// Nothing that was not forced is sure to be there. No server runs.
  public void powerFailure() {
    root.reboot();
    folders.values().forEach(SimulatedFiles::reboot);
    machine.boots++;
    machine.bootedNanos = machine.clock.getAsLong();
  }
}
