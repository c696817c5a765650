// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.graph.NbdOpener;
import io.nbdfleece.fleecing.graph.NodeSpec.NbdSource;
import io.nbdfleece.fleecing.graph.NodeSpec.Server;
import io.nbdfleece.fleecing.nbd.NbdNode;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.RemoteExport;
import io.nbdfleece.nbd.client.RemoteOptions;
import java.io.IOException;
import java.time.Duration;

/// Opens the exports of other servers that `blockdev-add` names.
final class GraphUpstreams implements NbdOpener {

  @Override
  public BlockNode open(NbdSource source) throws IOException {
    RemoteOptions options =
        new RemoteOptions(
            RemoteOptions.defaults().connectionsMax(), source.reconnectDelay(), Duration.ZERO);
    return new NbdNode(RemoteExport.open(uri(source), options, ClientOptions.defaults()));
  }

  @Override
  public String location(NbdSource source) {
    return uri(source).toString();
  }

  private static NbdUri uri(NbdSource source) {
    return switch (source.server()) {
      case Server.Unix unix -> new NbdUri.Unix(unix.path(), source.export());
      case Server.Inet inet -> new NbdUri.Tcp(inet.host(), inet.port(), source.export());
    };
  }
}
