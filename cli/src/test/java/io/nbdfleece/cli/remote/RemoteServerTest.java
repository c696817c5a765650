// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import javax.net.ssl.SSLHandshakeException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class RemoteServerTest {
  private static final NbdUri URI = NbdUri.parse("nbds://h/x?tls-certificates=/etc/nbd");

  @ParameterizedTest
  @CsvSource({
    "'nbd://h: the server has no export \"x\": gone; it lists none', NOT_FOUND",
    "'nbd://h: cannot connect to port 10809 (refused)', UNREACHABLE",
    "'nbd://h: the server does not do TLS, which the URI demands', NOT_TRUSTED",
    "'nbd://h: TLS: the handshake failed: bad certificate', NOT_TRUSTED",
    "'nbd://h: the server does not open the export: it requires TLS', NOT_TRUSTED"
  })
  void theTextOfTheLibraryDecides(String text, ExitCode code) {
    assertEquals(code, RemoteServer.codeOf(URI, new IOException(text)));
  }

  @Test
  void credentialsThatCannotBeUsedAreNamedByTheirPlace() {
    IOException error = new IOException(URI + ": /etc/nbd: is not a directory");
    assertEquals(ExitCode.NOT_TRUSTED, RemoteServer.codeOf(URI, error));
  }

  @Test
  void aCauseDeepDownDecidesToo() {
    IOException handshake = new IOException("x", new SSLHandshakeException("no"));
    assertEquals(ExitCode.NOT_TRUSTED, RemoteServer.codeOf(URI, handshake));
    IOException file = new IOException("x", new IOException(new NoSuchFileException("ca.pem")));
    assertEquals(ExitCode.NOT_TRUSTED, RemoteServer.codeOf(URI, file));
  }
}
