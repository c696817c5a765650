// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.block.BlockNode;
import java.io.IOException;

/// Opens exports of other servers: the graph does not know NBD.
@FunctionalInterface
public interface NbdOpener {

  /// Connects. Fails, naming the server.
  BlockNode open(NodeSpec.NbdSource source) throws IOException;

  /// The place, as people know it: an NBD URI.
  default String location(NodeSpec.NbdSource source) {
    return switch (source.server()) {
      case NodeSpec.Server.Unix unix -> "nbd+unix:///" + source.export() + "?socket=" + unix.path();
      case NodeSpec.Server.Inet inet ->
          "nbd://" + inet.host() + ":" + inet.port() + "/" + source.export();
    };
  }
}
