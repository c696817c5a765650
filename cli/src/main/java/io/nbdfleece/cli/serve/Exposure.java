// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.nbd.server.ServerTls;
import java.net.InetAddress;

/// Whether other machines may reach us: only encrypted, unless the user insists.
///
/// @param insecure `--insecure` was given
record Exposure(ServerTls.Mode tls, boolean insecure) {

  /// Fails when clients of other machines could come in without encryption.
  ///
  /// @param what the option or socket, for the message
  void check(String what, InetAddress address) throws CommandFailure {
    if (address.isLoopbackAddress() || insecure || tls == ServerTls.Mode.REQUIRE) {
      return;
    }
    String open = what + ": other machines could read and write the disks";
    throw new CommandFailure(
        ExitCode.USAGE,
        tls == ServerTls.Mode.ON
            ? open + " without encryption: give --tls require, or say --insecure"
            : open + ": they need --tls-certificates DIR or --tls-psk FILE, or say --insecure");
  }
}
