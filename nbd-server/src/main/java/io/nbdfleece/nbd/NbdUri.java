// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.nio.file.Path;
import java.util.Optional;

/// An NBD URI (NBD URI specification): `nbd://host[:port]/name`, `nbd+unix:///name?socket=/path`,
/// and `nbds:` and `nbds+unix:` for the same over TLS. `toString` prints exactly the form that
/// libnbd accepts (qemu too, without TLS, whose credentials it wants as an object), and [#parse]
/// reads back what it printed. `nbd+vsock` is not supported.
///
/// An export name is at most 4096 bytes of UTF-8 without NUL (NBD specification, "String values").
/// It may contain any other character; `@`, `/` and `:` are printed as they are, because they are
/// common in names and every client reads them, all others outside `A-Z a-z 0-9 - . _ ~` as `%XX`.
public sealed interface NbdUri {
  /// The port of an `nbd:` URI that does not say one.
  int DEFAULT_PORT = 10809;

  /// The export name, not escaped; empty for the default export.
  String exportName();

  /// How to encrypt; empty for `nbd:` and `nbd+unix:`, which are never encrypted. With it nothing
  /// is ever sent in plain text but the request for TLS.
  Optional<Tls> tls();

  /// The same server, another export.
  NbdUri withExportName(String name);

  /// `nbd://host:port/name`; the port is left out when it is 10809.
  ///
  /// @param host a name or an address; an IPv6 address without brackets
  /// @param port 1 to 65535
  record Tcp(String host, int port, String exportName, Optional<Tls> tls) implements NbdUri {
    public Tcp {
      NbdUriSyntax.checkHost(host);
      if (port < 1 || port > 65535) {
        throw new IllegalArgumentException("port: " + port + " (expected: 1 to 65535)");
      }
      NbdUriSyntax.checkExportName(exportName);
    }

    /// Not encrypted.
    public Tcp(String host, int port, String exportName) {
      this(host, port, exportName, Optional.empty());
    }

    @Override
    public Tcp withExportName(String name) {
      return new Tcp(host, port, name, tls);
    }

    @Override
    public String toString() {
      return NbdUriSyntax.print(this);
    }
  }

  /// `nbd+unix:///name?socket=/path`.
  ///
  /// @param socket the socket file; relative to the working directory if not absolute
  record Unix(Path socket, String exportName, Optional<Tls> tls) implements NbdUri {
    public Unix {
      if (socket.toString().isEmpty()) {
        throw new IllegalArgumentException("socket: empty (expected: path of a socket file)");
      }
      NbdUriSyntax.checkExportName(exportName);
    }

    /// Not encrypted.
    public Unix(Path socket, String exportName) {
      this(socket, exportName, Optional.empty());
    }

    @Override
    public Unix withExportName(String name) {
      return new Unix(socket, name, tls);
    }

    @Override
    public String toString() {
      return NbdUriSyntax.print(this);
    }
  }

  /// The TLS part of an `nbds:` or `nbds+unix:` URI: `nbds://user@host/?tls-certificates=DIR`, or
  /// `tls-psk-file=FILE`, and `tls-verify-peer=false`, `tls-hostname=NAME`.
  ///
  /// @param user the key to use of a `tls-psk-file`; empty if not said, which is the name of the
  ///   user who runs the program
  /// @param certificates directory of X.509 files; when neither this nor `pskFile` is there, what
  ///   libnbd takes: `/etc/pki/libnbd` for root, `~/.pki/libnbd` or `~/.config/pki/libnbd` for
  ///   others
  /// @param pskFile a file of pre-shared keys, `user:hex` per line; not together with
  ///   `certificates`
  /// @param verifyPeer whether the server's certificate is checked, the default
  /// @param hostname the name it is checked against, if not that of the host; a Unix socket has no
  ///   host, so there a certificate of the authority is enough if this is empty
  record Tls(
      String user,
      Optional<Path> certificates,
      Optional<Path> pskFile,
      boolean verifyPeer,
      Optional<String> hostname) {

    /// What `nbds:` alone asks for.
    public static final Tls DEFAULTS =
        new Tls("", Optional.empty(), Optional.empty(), true, Optional.empty());

    public Tls {
      if (certificates.isPresent() && pskFile.isPresent()) {
        throw new IllegalArgumentException(
            "both tls-certificates and tls-psk-file (expected: one of them)");
      }
    }
  }

  /// Parses. Throws IllegalArgumentException with a message that says what is wrong and what is
  /// right.
  static NbdUri parse(String text) {
    return new NbdUriSyntax(text).parse();
  }
}
