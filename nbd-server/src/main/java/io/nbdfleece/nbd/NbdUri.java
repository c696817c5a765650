// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.nio.file.Path;

/// An NBD URI (NBD URI specification): `nbd://host[:port]/name`, `nbd+unix:///name?socket=/path`.
/// [#toString] prints exactly the form that libnbd and qemu accept. Skeleton; parsing to be
/// written.
public sealed interface NbdUri {
  /// The export name, not escaped; empty for the default export.
  String exportName();

  /// The same server, another export.
  NbdUri withExportName(String name);

  /// `nbd://host:port/name`; the port is left out when it is 10809.
  record Tcp(String host, int port, String exportName) implements NbdUri {
    @Override
    public Tcp withExportName(String name) {
      return new Tcp(host, port, name);
    }
  }

  /// `nbd+unix:///name?socket=/path`.
  record Unix(Path socket, String exportName) implements NbdUri {
    @Override
    public Unix withExportName(String name) {
      return new Unix(socket, name);
    }
  }

  /// Parses. Throws IllegalArgumentException with a message that says what is wrong and what is
  /// right.
  static NbdUri parse(String text) {
    throw new IllegalArgumentException(text);
  }
}
