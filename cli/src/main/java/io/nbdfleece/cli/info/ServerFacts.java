// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.info;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.remote.RemoteServer;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.NbdClient;
import io.nbdfleece.nbd.client.NegotiatedExport;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What was found out about a server.
///
/// @param tls whether the connection was encrypted
/// @param structured whether replies came in chunks; false when no export could be opened
/// @param extended whether lengths had 64 bits; false when no export could be opened
/// @param exports those asked for
public record ServerFacts(
    boolean tls, boolean structured, boolean extended, List<ListedFacts> exports) {

  // Each one costs a connection; a server that lists more is not one for people to look at.
  private static final int EXPORTS_MAX = 1000;

  public ServerFacts {
    exports = List.copyOf(exports);
  }

  /// Opens the export of the URI and lets go of it.
  public static ServerFacts ofExport(NbdUri uri) throws CommandFailure {
    NegotiatedExport export = negotiate(uri);
    return of(export, List.of(new ListedFacts(uri, export.description(), Optional.of(export), "")));
  }

  /// Opens each export that the server lists, one after the other. One that cannot be opened is
  /// there with the reason.
  public static ServerFacts ofAll(NbdUri uri) throws CommandFailure {
    List<ListedFacts> exports = new ArrayList<>();
    Optional<NegotiatedExport> any = Optional.empty();
    for (NbdClient.ListedExport listed : RemoteServer.list(uri)) {
      if (exports.size() == EXPORTS_MAX) {
        break;
      }
      NbdUri of = uri.withExportName(listed.name());
      try {
        NegotiatedExport export = negotiate(of);
        any = Optional.of(export);
        exports.add(new ListedFacts(of, export.description(), any, ""));
      } catch (CommandFailure e) {
        exports.add(
            new ListedFacts(
                of, listed.description(), Optional.empty(), String.valueOf(e.getMessage())));
      }
    }
    return any.isPresent()
        ? of(any.get(), exports)
        : new ServerFacts(uri.tls().isPresent(), false, false, exports);
  }

  private static ServerFacts of(NegotiatedExport export, List<ListedFacts> exports) {
    return new ServerFacts(
        export.tlsProtocol().isPresent(),
        export.structuredReplies(),
        export.extendedHeaders(),
        exports);
  }

  private static NegotiatedExport negotiate(NbdUri uri) throws CommandFailure {
    ClientOptions options =
        ClientOptions.defaults().withContexts(List.of(ClientOptions.ALL_CONTEXTS));
    try (NbdClient client = RemoteServer.connect(uri, options)) {
      return client.negotiated();
    }
  }

  /// One export.
  ///
  /// @param uri with the name that opens it
  /// @param negotiated empty if it could not be opened
  /// @param failure why not, else empty
  public record ListedFacts(
      NbdUri uri, String description, Optional<NegotiatedExport> negotiated, String failure) {}
}
