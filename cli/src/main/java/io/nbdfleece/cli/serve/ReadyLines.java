// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.ServerTls;
import java.io.PrintStream;

/// What `serve` prints when clients can connect.
final class ReadyLines implements ServeProcess.ReadyReport {
  private final PrintStream out;

  ReadyLines(PrintStream out) {
    this.out = out;
  }

  @Override
  public void ready(ControlTarget target, ServeOptions options, long scratchBytesMax) {
    int width = target.disks().stream().mapToInt(d -> d.config().name().length()).max().orElse(0);
    for (Disk disk : target.disks()) {
      String name = disk.config().name();
      for (String uri : target.uris(name)) {
        out.println(name + " ".repeat(width - name.length()) + "  " + uri);
      }
    }
    encryption(options.server().tls());
    out.println("control socket  " + options.control().path());
    out.println(
        "preserved data  "
            + ByteSize.format(options.store().ramBytes())
            + " RAM, then at most "
            + ByteSize.format(scratchBytesMax)
            + " in "
            + options.store().scratchDirectory());
    options
        .store()
        .stateDirectory()
        .ifPresent(directory -> out.println("bitmaps         kept in " + directory));
    out.flush();
  }

  private void encryption(ServerTls tls) {
    if (tls.credentials().isEmpty()) {
      return;
    }
    String who =
        switch (tls.credentials().get()) {
          case TlsCredentials.X509 x509 ->
              "certificates in "
                  + x509.directory()
                  + (tls.verifyClients() ? ", clients need one too" : "");
          case TlsCredentials.Psk psk -> "keys in " + psk.file();
        };
    out.println(
        "encryption      "
            + (tls.mode() == ServerTls.Mode.REQUIRE ? "required, " : "for who asks for it, ")
            + who);
  }
}
