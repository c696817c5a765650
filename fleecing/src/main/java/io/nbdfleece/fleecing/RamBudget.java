// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;

/// Whether a RAM budget fits the process and the machine.
final class RamBudget {
  /// Measured: 307 bytes for each cluster in RAM.
  private static final long HEAP_BYTES_PER_RAM_CLUSTER = 320;

  private static final long HEAP_BASE_BYTES = 64L << 20;

  private RamBudget() {}

  /// The heap holds the index of the RAM tier; running out of it would take the guests' disks
  /// along.
  static void requireHeap(EngineConfig config, long heapBytesMax) throws IOException {
    long clusters = config.ramBytesMax() / config.clusterBytes();
    long neededBytes = HEAP_BASE_BYTES + clusters * HEAP_BYTES_PER_RAM_CLUSTER;
    if (neededBytes > heapBytesMax) {
      throw new IOException(
          "RAM budget: "
              + clusters
              + " clusters need a Java heap of "
              + (neededBytes >> 20)
              + " MiB, but it has "
              + (heapBytesMax >> 20)
              + " MiB: set NBDFLEECE_JAVA_OPTS=-Xmx"
              + ((neededBytes >> 20) + 1)
              + "m, or choose a smaller --ram or a larger --cluster-size");
    }
  }

  /// More than the machine can give would have it end the process, and the guests' disks along with
  /// it.
  ///
  /// @param moreBytes what the budget grows by
  /// @param availableBytes empty = nobody knows
  static void requireMemory(long moreBytes, OptionalLong availableBytes) throws IOException {
    if (availableBytes.isPresent() && moreBytes > availableBytes.getAsLong()) {
      throw new IOException(
          "RAM budget: "
              + (moreBytes >> 20)
              + " MiB more than now, but the machine, or the control group of this process, has"
              + " only "
              + (availableBytes.getAsLong() >> 20)
              + " MiB available: choose a smaller --ram, or a larger --scratch-limit instead");
    }
  }

  /// A warning when the budget is more than there is now; empty when it fits. At the start it is
  /// not refused: what is there may grow until the budget is used up.
  static Optional<String> doubt(long ramBytesMax, OptionalLong availableBytes) {
    return availableBytes.isPresent() && ramBytesMax > availableBytes.getAsLong()
        ? Optional.of(
            "RAM budget: "
                + (ramBytesMax >> 20)
                + " MiB, but the machine, or the control group of this process, has only "
                + (availableBytes.getAsLong() >> 20)
                + " MiB available: the system may end the server, and the guests' disks with it,"
                + " when it fills up: choose a smaller --ram")
        : Optional.empty();
  }

  /// A budget that the machine can never have is a typing mistake. How much is available at the
  /// moment does not matter here: a server that comes back after a crash must start.
  ///
  /// @param machineBytes empty = nobody knows
  static void requireMachine(EngineConfig config, OptionalLong machineBytes) throws IOException {
    if (machineBytes.isPresent() && config.ramBytesMax() > machineBytes.getAsLong()) {
      throw new IOException(
          "RAM budget: "
              + (config.ramBytesMax() >> 20)
              + " MiB, but the machine has only "
              + (machineBytes.getAsLong() >> 20)
              + " MiB: choose a smaller --ram; what it cannot hold goes to --scratch");
    }
  }
}
