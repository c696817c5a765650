// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.serve.StoreRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import picocli.CommandLine.Option;

/// Where and how `serve` keeps preserved data.
final class StoreOptions {
  @Option(
      names = "--ram",
      paramLabel = "SIZE",
      defaultValue = "256M",
      description = "RAM for preserved data, all disks together. Default: 256M.")
  private ByteSize ram = new ByteSize(0);

  @Option(
      names = "--scratch",
      paramLabel = "DIR",
      defaultValue = "/var/tmp",
      description = "Where preserved data goes that RAM does not hold. Default: /var/tmp.")
  private Path scratch = Path.of("/var/tmp");

  @Option(
      names = "--scratch-limit",
      paramLabel = "SIZE",
      description = "Most of it; 0 = RAM only. Default: half of the free space at the start.")
  private Optional<ByteSize> scratchLimit = Optional.empty();

  @Option(
      names = "--cluster-size",
      paramLabel = "SIZE",
      description =
          "Unit of preserving, a power of two, 4K to 4M. Default: 16K; 32K for disks of more than "
              + "256G together; 64K for more than 512G, for disks of other servers, and without "
              + "disks.")
  private Optional<ByteSize> clusterSize = Optional.empty();

  @Option(
      names = "--state",
      paramLabel = "DIR",
      description =
          "Where bitmaps and checkpoints are kept, so that they outlive the server, kill -9 and "
              + "power loss. Without it they end with the server.")
  private Optional<Path> state = Optional.empty();

  @Option(
      names = "--on-cbw-error",
      paramLabel = "POLICY",
      defaultValue = "break-snapshot",
      description =
          "When an old block cannot be preserved: break-snapshot (the guest goes on) or "
              + "break-guest-write (the snapshot stays whole). Default: break-snapshot.")
  private CbwErrorPolicy onCbwError = CbwErrorPolicy.BREAK_SNAPSHOT;

  @Option(
      names = "--cbw-timeout",
      paramLabel = "SECONDS",
      defaultValue = "30",
      description = "Longest that preserving may hold up a guest write; 0 = no limit. Default: 30.")
  private long cbwTimeoutSeconds;

  @Option(
      names = "--slow-from",
      paramLabel = "PERCENT",
      defaultValue = "80",
      description =
          "How full RAM and scratch are when guest writes that preserve begin to be slowed, by at "
              + "most 100 ms each; 100 = never. Default: 80.")
  private int slowFromPercent;

  @Option(
      names = "--write-budget",
      paramLabel = "TIME",
      defaultValue = "0",
      description =
          "What preserving may add to a guest write (20ms, 1s) before prefetching, then the "
              + "snapshots of the disk are given up for it; 0 = no budget. Default: 0.")
  private Duration writeBudget = Duration.ZERO;

  StoreRequest request() {
    return new StoreRequest(
        ram.bytes(),
        scratch,
        scratchLimit.map(ByteSize::bytes),
        clusterSize.map(ByteSize::bytes),
        onCbwError.name(),
        cbwTimeoutSeconds,
        slowFromPercent,
        writeBudget,
        state);
  }
}
