// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.serve.DiskRequest;
import java.util.List;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// Which disks `serve` serves.
final class DiskOptions {
  @Parameters(
      paramLabel = "DISK",
      arity = "0..*",
      description =
          "Raw files or block devices, each named after its file without extension; NBD URIs of "
              + "disks that other servers hold, each named after its export.")
  private List<String> places = List.of();

  @Option(
      names = "--disk",
      paramLabel = "NAME=DISK",
      description = "A disk with a name of its own; may be repeated.")
  private List<String> named = List.of();

  @Option(
      names = {"-r", "--read-only"},
      description = "Guests may not write.")
  private boolean readOnly;

  @Option(
      names = "--reconnect-delay",
      paramLabel = "SECONDS",
      defaultValue = "60",
      description =
          "How long a guest's requests wait for an upstream server that went away; 0 = they "
              + "fail at once. Default: 60.")
  private long reconnectDelaySeconds;

  @Option(
      names = "--upstream-connections",
      paramLabel = "N",
      defaultValue = "4",
      description = "Connections to each upstream server, if it allows several. Default: 4.")
  private int upstreamConnections;

  @Option(
      names = "--skip-unchanged-writes",
      description =
          "Do not mark writes in dirty bitmaps that write what is there already; each write is "
              + "compared with the disk first.")
  private boolean skipUnchanged;

  DiskRequest request() {
    return new DiskRequest(
        places, named, readOnly, skipUnchanged, reconnectDelaySeconds, upstreamConnections);
  }
}
