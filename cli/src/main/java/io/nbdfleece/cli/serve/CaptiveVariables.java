// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/// What the command of `--run` finds in its environment, with nbdkit's names.
final class CaptiveVariables {
  private CaptiveVariables() {}

  /// @param bound the first address of the server, without an export name
  static Map<String, String> of(ServeOptions options, NbdUri bound) throws IOException {
    String exportName = options.disks().getFirst().config().name();
    String uri =
        ServerUris.usable(bound, options.server().tls()).withExportName(exportName).toString();
    Path control = options.control().path().toAbsolutePath();
    Map<String, String> variables = new HashMap<>();
    variables.put("uri", uri);
    variables.put("nbd", uri);
    variables.put("exportname", exportName);
    variables.put("port", bound instanceof NbdUri.Tcp tcp ? "" + tcp.port() : "");
    variables.put("unixsocket", bound instanceof NbdUri.Unix unix ? "" + unix.socket() : "");
    // As nbdkit has it: 1 = on, 2 = required.
    variables.put(
        "tls",
        switch (options.server().tls().mode()) {
          case OFF -> "";
          case ON -> "1";
          case REQUIRE -> "2";
        });
    variables.put("qmp", control.toString());
    // So that the commands of ours that it runs find the server.
    variables.put("NBDFLEECE_QMP", control.toString());
    return variables;
  }
}
