// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Vector;
import org.bouncycastle.tls.AbstractTlsClient;
import org.bouncycastle.tls.AlertDescription;
import org.bouncycastle.tls.BasicTlsPSKExternal;
import org.bouncycastle.tls.BasicTlsPSKIdentity;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.TlsAuthentication;
import org.bouncycastle.tls.TlsClientProtocol;
import org.bouncycastle.tls.TlsFatalAlert;
import org.bouncycastle.tls.TlsPSK;
import org.bouncycastle.tls.TlsPSKIdentity;
import org.bouncycastle.tls.TlsProtocol;
import org.bouncycastle.tls.TlsUtils;
import org.bouncycastle.tls.crypto.TlsCrypto;
import org.jspecify.annotations.Nullable;

/// The client's end, see [PskServer]. A server that does not show that it has the key is refused.
final class PskClient extends AbstractTlsClient {
  private final byte[] user;
  private final byte[] key;
  private Optional<ClientIdentity.Tls> proved = Optional.empty();

  private PskClient(TlsCrypto crypto, byte[] user, byte[] key) {
    super(crypto);
    this.user = user;
    this.key = key;
  }

  static PskMachine begin(TlsCrypto crypto, byte[] user, byte[] key) throws IOException {
    PskClient client = new PskClient(crypto, user, key);
    Machine machine = new Machine(client);
    machine.connect(client);
    return machine;
  }

  private static final class Machine extends TlsClientProtocol implements PskMachine {
    private final PskClient client;
    private boolean inputEnded;

    Machine(PskClient client) {
      this.client = client;
    }

    @Override
    protected void handleAlertWarningMessage(short description) throws IOException {
      if (description == AlertDescription.close_notify && client.proved.isPresent()) {
        inputEnded = true;
      } else {
        super.handleAlertWarningMessage(description);
      }
    }

    @Override
    public TlsProtocol protocol() {
      return this;
    }

    @Override
    public Optional<ClientIdentity.Tls> proved() {
      return client.proved;
    }

    @Override
    public boolean inputEnded() {
      return inputEnded;
    }
  }

  @Override
  protected ProtocolVersion[] getSupportedVersions() {
    return PskEndpoint.VERSIONS.clone();
  }

  @Override
  protected int[] getSupportedCipherSuites() {
    return TlsUtils.getSupportedCipherSuites(getCrypto(), PskEndpoint.SUITES);
  }

  @Override
  public int getMaxHandshakeMessageSize() {
    return PskEndpoint.HANDSHAKE_MESSAGE_BYTES_MAX;
  }

  @Override
  public TlsPSKIdentity getPSKIdentity() {
    return new BasicTlsPSKIdentity(user, key.clone());
  }

  @Override
  @SuppressWarnings("JdkObsolete") // as declared
  public Vector<BasicTlsPSKExternal> getExternalPSKs() {
    return new Vector<>(
        List.of(new BasicTlsPSKExternal(user, getCrypto().createSecret(key.clone()))));
  }

  @Override
  public void notifySelectedPSK(@Nullable TlsPSK selected) throws IOException {
    if (selected == null) {
      throw new TlsFatalAlert(AlertDescription.handshake_failure, "server did not take our key");
    }
  }

  @Override
  public TlsAuthentication getAuthentication() throws IOException {
    throw new TlsFatalAlert(AlertDescription.unexpected_message, "server sent a certificate");
  }

  @Override
  public void notifyHandshakeComplete() throws IOException {
    super.notifyHandshakeComplete();
    ProtocolVersion version = context.getSecurityParametersConnection().getNegotiatedVersion();
    proved =
        Optional.of(
            new ClientIdentity.Tls(
                version.isEqualOrEarlierVersionOf(ProtocolVersion.TLSv12) ? "TLSv1.2" : "TLSv1.3",
                List.of(new String(user, java.nio.charset.StandardCharsets.UTF_8))));
  }
}
