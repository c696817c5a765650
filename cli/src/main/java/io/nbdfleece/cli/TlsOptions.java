// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.serve.TlsRequest;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/// How `serve` encrypts.
final class TlsOptions {
  @Option(
      names = "--tls",
      paramLabel = "MODE",
      description =
          "off, on (for who asks for it) or require. Default: require with certificates or keys, "
              + "else off.")
  private Optional<String> mode = Optional.empty();

  @Option(
      names = "--tls-certificates",
      paramLabel = "DIR",
      description =
          "X.509: ca-cert.pem, server-cert.pem, server-key.pem, optionally ca-crl.pem. "
              + "SIGHUP reads them again.")
  private Optional<Path> certificates = Optional.empty();

  @Option(
      names = "--tls-psk",
      paramLabel = "FILE",
      description = "Pre-shared keys, as psktool writes them. SIGHUP reads them again.")
  private Optional<Path> psk = Optional.empty();

  @Option(
      names = "--tls-verify-peer",
      description = "Clients must show a certificate of our authority.")
  private boolean verifyPeer;

  @Option(
      names = "--tls-allow",
      paramLabel = "DISK=NAME",
      description =
          "This disk and its snapshots are for this client only: subject or name of its "
              + "certificate, or user of its key. May be repeated; implies --tls-verify-peer.")
  private List<String> allow = List.of();

  TlsRequest request() {
    return new TlsRequest(mode, certificates, psk, verifyPeer, allow);
  }
}
