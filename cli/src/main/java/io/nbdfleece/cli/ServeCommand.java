// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.serve.ServeRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `nbdfleece serve`.
@Command(
    name = "serve",
    description = {
      "Serves disks over NBD, in the foreground, until SIGTERM or Ctrl-C.",
      "`nbdfleece serve disk.img` serves it as \"disk\" on 127.0.0.1:10809."
    },
    sortOptions = false)
final class ServeCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "PATH",
      arity = "0..*",
      description = "Raw files or block devices; each is named after its file, without extension.")
  private List<Path> paths = List.of();

  @Option(
      names = "--disk",
      paramLabel = "NAME=PATH",
      description = "A disk with a name of its own; may be repeated.")
  private List<String> disks = List.of();

  @Option(
      names = {"-r", "--read-only"},
      description = "Guests may not write.")
  private boolean readOnly;

  @Option(
      names = {"-U", "--unix"},
      paramLabel = "PATH",
      description = "Unix socket to listen on; no TCP then, unless --port or --ipaddr is given.")
  private Optional<Path> unix = Optional.empty();

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
      description = "Allows an address that other machines can reach: there is no encryption yet.")
  private boolean insecure;

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
      defaultValue = "64K",
      description = "Unit of preserving, a power of two, 4K to 4M. Default: 64K.")
  private ByteSize clusterSize = new ByteSize(0);

  @Option(
      names = "--on-cbw-error",
      paramLabel = "POLICY",
      defaultValue = "break-snapshot",
      description = {
        "When an old block cannot be preserved: break-snapshot (the guest goes on) or",
        "break-guest-write (the snapshot stays whole). Default: break-snapshot."
      })
  private CbwErrorPolicy onCbwError = CbwErrorPolicy.BREAK_SNAPSHOT;

  @Option(
      names = "--cbw-timeout",
      paramLabel = "SECONDS",
      defaultValue = "30",
      description = "Longest that preserving may hold up a guest write; 0 = no limit. Default: 30.")
  private long cbwTimeoutSeconds;

  @Option(
      names = "--qmp",
      paramLabel = "PATH",
      description = {
        "Control socket (or NBDFLEECE_QMP). Default: $XDG_RUNTIME_DIR/nbdfleece/qmp.sock, else",
        "/run/nbdfleece/qmp.sock for root, else /tmp/nbdfleece-UID/qmp.sock."
      })
  private Optional<Path> qmp = Optional.empty();

  @Option(
      names = {"-P", "--pidfile"},
      paramLabel = "FILE",
      description = "Gets the process id when the server is ready.")
  private Optional<Path> pidFile = Optional.empty();

  @Option(names = "--json", description = "Prints the ready lines as one JSON line.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    return new ServeRequest(
            paths,
            disks,
            readOnly,
            unix,
            port.map(OptionalInt::of).orElse(OptionalInt.empty()),
            address,
            insecure,
            ram.bytes(),
            scratch,
            scratchLimit.map(ByteSize::bytes),
            clusterSize.bytes(),
            onCbwError.name(),
            cbwTimeoutSeconds,
            qmp,
            pidFile)
        .serve(json, System.out)
        .number();
  }
}
