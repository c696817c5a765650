// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.ServerTls;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The addresses of the server as URIs, without an export name.
///
/// What is printed leaves out the client's own certificates or keys, which we do not know:
/// `nbds://host/vda`. What `--run` gets in `$uri` names the server's own, so that it works as it
/// is.
final class ServerUris {
  private ServerUris() {}

  /// For people: plain or encrypted as the server has it, both when it leaves the choice.
  static List<NbdUri> printed(List<NbdUri> bound, ServerTls tls) {
    Optional<NbdUri.Tls> bare = Optional.of(tls("", Optional.empty(), Optional.empty()));
    List<NbdUri> uris = new ArrayList<>();
    for (NbdUri each : bound) {
      NbdUri uri = reachable(each);
      switch (tls.mode()) {
        case OFF -> uris.add(with(uri, Optional.empty()));
        case ON -> {
          uris.add(with(uri, Optional.empty()));
          uris.add(with(uri, bare));
        }
        case REQUIRE -> uris.add(with(uri, bare));
      }
    }
    return uris;
  }

  /// For a program on this machine, run by the same user: encrypted only if it must be.
  static NbdUri usable(NbdUri bound, ServerTls tls) throws IOException {
    NbdUri uri = reachable(bound);
    if (tls.mode() != ServerTls.Mode.REQUIRE || tls.credentials().isEmpty()) {
      return with(uri, Optional.empty());
    }
    return with(
        uri,
        Optional.of(
            switch (tls.credentials().get()) {
              case TlsCredentials.X509 x509 ->
                  tls("", Optional.of(x509.directory().toAbsolutePath()), Optional.empty());
              case TlsCredentials.Psk psk ->
                  tls(firstUser(psk.file()), Optional.empty(), Optional.of(psk.file()));
            }));
  }

  /// Who listens on all addresses is best called by the name of this machine.
  private static NbdUri reachable(NbdUri uri) {
    if (!(uri instanceof NbdUri.Tcp tcp)) {
      return uri;
    }
    try {
      return InetAddress.getByName(tcp.host()).isAnyLocalAddress()
          ? new NbdUri.Tcp(
              InetAddress.getLocalHost().getHostName(), tcp.port(), tcp.exportName(), tcp.tls())
          : uri;
    } catch (UnknownHostException e) {
      // A machine without a name: the address is all that there is to say.
      return uri;
    }
  }

  /// Of a file of lines `user:hex`.
  private static String firstUser(Path keys) throws IOException {
    for (String line : Files.readAllLines(keys)) {
      int colon = line.indexOf(':');
      if (colon > 0 && line.charAt(0) != '#') {
        return line.substring(0, colon);
      }
    }
    return "";
  }

  private static NbdUri.Tls tls(String user, Optional<Path> certificates, Optional<Path> pskFile) {
    return new NbdUri.Tls(
        user, certificates, pskFile.map(Path::toAbsolutePath), true, Optional.empty());
  }

  private static NbdUri with(NbdUri uri, Optional<NbdUri.Tls> tls) {
    return switch (uri) {
      case NbdUri.Tcp tcp -> new NbdUri.Tcp(tcp.host(), tcp.port(), tcp.exportName(), tls);
      case NbdUri.Unix unix -> new NbdUri.Unix(unix.socket(), unix.exportName(), tls);
    };
  }
}
