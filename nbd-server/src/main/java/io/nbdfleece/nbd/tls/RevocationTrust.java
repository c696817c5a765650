// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.net.Socket;
import java.security.cert.CertificateException;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.List;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;

/// Checks a chain as another trust manager does, and each certificate of it against the revocation
/// list of its issuer. An issuer without a list revokes nothing, as with all NBD programs; a list
/// that has gone out of date since it was read lets nobody in. Thread-safe.
final class RevocationTrust extends X509ExtendedTrustManager {
  private final X509ExtendedTrustManager chains;
  private final List<X509CRL> lists;

  RevocationTrust(X509ExtendedTrustManager chains, List<X509CRL> lists) {
    this.chains = chains;
    this.lists = List.copyOf(lists);
  }

  static boolean isOutdated(X509CRL list) {
    return list.getNextUpdate() != null && list.getNextUpdate().toInstant().isBefore(Instant.now());
  }

  private void requireNotRevoked(X509Certificate[] chain) throws CertificateException {
    for (X509Certificate certificate : chain) {
      for (X509CRL list : lists) {
        if (list.getIssuerX500Principal().equals(certificate.getIssuerX500Principal())) {
          if (isOutdated(list)) {
            throw new CertificateException("ca-crl.pem is out of date: replace it and reload");
          }
          if (list.isRevoked(certificate)) {
            throw new CertificateException(
                "the certificate of " + certificate.getSubjectX500Principal() + " is revoked");
          }
        }
      }
    }
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine)
      throws CertificateException {
    chains.checkClientTrusted(chain, type, engine);
    requireNotRevoked(chain);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine)
      throws CertificateException {
    chains.checkServerTrusted(chain, type, engine);
    requireNotRevoked(chain);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket)
      throws CertificateException {
    chains.checkClientTrusted(chain, type, socket);
    requireNotRevoked(chain);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket)
      throws CertificateException {
    chains.checkServerTrusted(chain, type, socket);
    requireNotRevoked(chain);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
    chains.checkClientTrusted(chain, type);
    requireNotRevoked(chain);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
    chains.checkServerTrusted(chain, type);
    requireNotRevoked(chain);
  }

  /// None, so that a server does not tell clients which authorities it accepts: with TLS 1.3 GnuTLS
  /// finds no certificate of its own among those that the JDK tells, and sends none.
  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return new X509Certificate[0];
  }
}
