// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.serve.ListenRequest;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Option;

/// Where `serve` listens.
final class ListenOptions {
  @Option(
      names = {"-U", "--unix"},
      paramLabel = "PATH",
      description =
          "Unix socket to listen on; no TCP then, unless --port or --ipaddr is given. - = a "
              + "private one in a directory of its own.")
  private Optional<String> unix = Optional.empty();

  @Option(
      names = {"-p", "--port"},
      paramLabel = "N",
      description = "TCP port; 0 = any free one. Default: 10809.")
  private Optional<Integer> port = Optional.empty();

  @Option(
      names = {"-i", "--ipaddr"},
      paramLabel = "ADDRESS",
      description = "TCP address. Default: 127.0.0.1.")
  private Optional<String> address = Optional.empty();

  @Option(
      names = "--insecure",
      description = "Allows an address that other machines reach without encryption.")
  private boolean insecure;

  ListenRequest request() {
    return new ListenRequest(
        unix, port.map(OptionalInt::of).orElse(OptionalInt.empty()), address, insecure);
  }
}
