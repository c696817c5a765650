// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import java.util.Optional;

/// What a resumed pull must find again. NBD has no identity of content, so this is what there is:
/// where the server is, and what it says of the export. The description of a snapshot of ours has
/// the instant of its freeze and so tells it from every other one, of the same name too; with other
/// servers it is the user who vouches that the export has not changed.
///
/// @param server host and port, or the absolute path of the socket; without the kind of encryption
record PullSource(String server, String exportName, long sizeBytes, String description) {

  static PullSource of(NbdUri uri, ExportInfo info) {
    String server =
        switch (uri) {
          case NbdUri.Tcp tcp -> tcp.host() + ":" + tcp.port();
          case NbdUri.Unix unix -> unix.socket().toAbsolutePath().normalize().toString();
        };
    return new PullSource(server, uri.exportName(), info.sizeBytes(), info.description());
  }

  /// What about `now` is not as it was; empty if it may be the same.
  Optional<String> difference(PullSource now) {
    if (!server.equals(now.server)) {
      return Optional.of("the server was " + server + " and is now " + now.server);
    }
    if (!exportName.equals(now.exportName)) {
      return Optional.of(
          "the export was \"" + exportName + "\" and is now \"" + now.exportName + "\"");
    }
    if (sizeBytes != now.sizeBytes) {
      return Optional.of("its size was " + sizeBytes + " bytes and is now " + now.sizeBytes);
    }
    if (!description.equals(now.description)) {
      return Optional.of("it was \"" + description + "\" and is now \"" + now.description + "\"");
    }
    return Optional.empty();
  }
}
