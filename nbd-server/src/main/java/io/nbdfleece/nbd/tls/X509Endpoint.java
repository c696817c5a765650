// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import io.netty.channel.Channel;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import io.netty.util.concurrent.Future;
import io.netty.util.concurrent.Promise;
import java.io.IOException;
import java.nio.file.Path;
import java.security.cert.Certificate;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSession;

/// X.509, by the JDK's own implementation of TLS. Thread-safe.
final class X509Endpoint implements TlsEndpoint {
  private static final String[] PROTOCOLS = {"TLSv1.3", "TLSv1.2"};

  /// All curves that the JDK has and none of its finite fields: a handshake is computed on an event
  /// loop before we know who asks for it, and ffdhe8192 takes longer than hundreds of requests of a
  /// guest that waits there. Whoever speaks TLS 1.2 or 1.3 has one of these curves.
  private static final String[] GROUPS = {"x25519", "secp256r1", "secp384r1", "secp521r1", "x448"};

  /// A resumed session is not checked against the revocation list again.
  private static final int SESSION_SECONDS_MAX = 600;

  private final SslContext context;
  private final boolean verifies;
  private final String hostname;

  private X509Endpoint(SslContext context, boolean verifies, String hostname) {
    this.context = context;
    this.verifies = verifies;
    this.hostname = hostname;
  }

  static X509Endpoint server(Path directory, boolean verifyClients) throws IOException {
    X509Directory files = X509Directory.ofServer(directory);
    X509Directory.Identity own = files.certificate().orElseThrow();
    try {
      SslContext context =
          SslContextBuilder.forServer(own.key(), own.chain())
              .sslProvider(SslProvider.JDK)
              .protocols(PROTOCOLS)
              .sessionTimeout(SESSION_SECONDS_MAX)
              .trustManager(files.trust())
              .clientAuth(verifyClients ? ClientAuth.REQUIRE : ClientAuth.NONE)
              .build();
      return new X509Endpoint(context, verifyClients, "");
    } catch (SSLException | IllegalArgumentException e) {
      throw new IOException(directory + ": cannot be used for TLS: " + e.getMessage(), e);
    }
  }

  static X509Endpoint client(Path directory, boolean verifyPeer, String hostname)
      throws IOException {
    X509Directory files = X509Directory.ofClient(directory);
    try {
      SslContextBuilder builder =
          SslContextBuilder.forClient()
              .sslProvider(SslProvider.JDK)
              .protocols(PROTOCOLS)
              .sessionTimeout(SESSION_SECONDS_MAX)
              .endpointIdentificationAlgorithm(verifyPeer && !hostname.isEmpty() ? "HTTPS" : null);
      if (verifyPeer) {
        builder.trustManager(files.trust());
      } else {
        builder.trustManager(InsecureTrustManagerFactory.INSTANCE);
      }
      files.certificate().ifPresent(own -> builder.keyManager(own.key(), own.chain()));
      return new X509Endpoint(builder.build(), verifyPeer, hostname);
    } catch (SSLException | IllegalArgumentException e) {
      throw new IOException(directory + ": cannot be used for TLS: " + e.getMessage(), e);
    }
  }

  @Override
  public Future<ClientIdentity.Tls> encrypt(Channel channel) {
    SslHandler handler =
        hostname.isEmpty()
            ? context.newHandler(channel.alloc())
            : context.newHandler(channel.alloc(), hostname, -1);
    SSLParameters parameters = handler.engine().getSSLParameters();
    parameters.setNamedGroups(GROUPS);
    handler.engine().setSSLParameters(parameters);
    // Both ends have a deadline for their whole handshake.
    handler.setHandshakeTimeoutMillis(0);
    Promise<ClientIdentity.Tls> proved = channel.eventLoop().newPromise();
    handler
        .handshakeFuture()
        .addListener(
            done -> {
              if (done.isSuccess()) {
                succeed(handler.engine().getSession(), proved);
              } else {
                proved.tryFailure(done.cause());
              }
            });
    channel.pipeline().addFirst(handler, new TlsEvents(handler));
    return proved;
  }

  private void succeed(SSLSession session, Promise<ClientIdentity.Tls> proved) {
    try {
      proved.trySuccess(new ClientIdentity.Tls(session.getProtocol(), names(session)));
    } catch (SSLException | CertificateParsingException | RuntimeException e) {
      proved.tryFailure(e);
    }
  }

  private List<String> names(SSLSession session) throws SSLException, CertificateParsingException {
    if (verifies) {
      Certificate[] chain = session.getPeerCertificates();
      if (chain[0] instanceof X509Certificate certificate) {
        return CertificateNames.of(certificate);
      }
    }
    return List.of();
  }
}
