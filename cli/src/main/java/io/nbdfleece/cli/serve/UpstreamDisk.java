// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.nbd.NbdNode;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.RemoteExport;
import io.nbdfleece.nbd.client.RemoteOptions;
import java.io.IOException;

/// A disk that another NBD server holds, when it is opened.
final class UpstreamDisk {
  private UpstreamDisk() {}

  /// Connects, and checks that it can be what was asked for.
  static BlockNode open(DiskConfig config, NbdUri uri, RemoteOptions options) throws IOException {
    RemoteExport remote;
    try {
      remote = RemoteExport.open(uri, options, ClientOptions.defaults());
    } catch (IOException e) {
      throw new CommandFailure(
          ExitCode.UNREACHABLE, "disk " + config.name() + ": " + Messages.of(e), e);
    }
    if (config.access() == DiskConfig.Access.READ_WRITE
        && !remote.info().can(ExportInfo.Ability.WRITE)) {
      remote.close();
      throw new CommandFailure(
          ExitCode.FAILED,
          "disk "
              + config.name()
              + ", "
              + uri
              + ": its server exports it read-only: serve it with --read-only, or make its server"
              + " take writes");
    }
    return new NbdNode(remote);
  }
}
