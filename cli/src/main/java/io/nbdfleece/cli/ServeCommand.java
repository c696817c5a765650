// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.serve.ServeRequest;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `nbdfleece serve`.
@Command(
    name = "serve",
    description = {
      "Serves disks over NBD, in the foreground, until SIGTERM or Ctrl-C.",
      "`nbdfleece serve disk.img` serves it as \"disk\" on 127.0.0.1:10809."
    },
    sortOptions = false,
    footerHeading = "%nLimits (--limit NAME=VALUE):%n",
    footer = {
      "  connections=1024       clients that have opened an export",
      "  handshakes=128         clients that have not; one more replaces the oldest",
      "  handshake-seconds=10   for a client to open an export",
      "  options=128            that one client may send before",
      "  requests=64            in flight per connection",
      "  bytes=64M              of those",
      "  total-bytes=512M       of all connections",
      "  extents=131072         in one answer to \"what is allocated\"",
      "  stall-seconds=60       for a client to read some of a reply",
      "  tcp-seconds=60         for a TCP peer to acknowledge something",
      "  threads=CPUS           that serve clients"
    })
final class ServeCommand implements Callable<Integer> {
  @Mixin private DiskOptions disks = new DiskOptions();
  @Mixin private ListenOptions listen = new ListenOptions();
  @Mixin private TlsOptions tls = new TlsOptions();
  @Mixin private StoreOptions store = new StoreOptions();
  @Mixin private LifeOptions life = new LifeOptions();

  @Option(
      names = "--limit",
      paramLabel = "NAME=VALUE",
      description = "What a client may cost us, see below; may be repeated.")
  private List<String> limits = List.of();

  @Option(names = "--json", description = "Prints the ready lines as one JSON line.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    return new ServeRequest(
            disks.request(),
            listen.request(),
            tls.request(),
            limits,
            store.request(),
            life.request())
        .serve(json, System.out, System.err);
  }
}
