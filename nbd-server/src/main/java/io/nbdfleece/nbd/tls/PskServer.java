// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Vector;
import java.util.function.IntPredicate;
import org.bouncycastle.tls.AbstractTlsServer;
import org.bouncycastle.tls.AlertDescription;
import org.bouncycastle.tls.BasicTlsPSKExternal;
import org.bouncycastle.tls.NamedGroup;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.PskIdentity;
import org.bouncycastle.tls.TlsCredentials;
import org.bouncycastle.tls.TlsPSKExternal;
import org.bouncycastle.tls.TlsPSKIdentityManager;
import org.bouncycastle.tls.TlsProtocol;
import org.bouncycastle.tls.TlsServerProtocol;
import org.bouncycastle.tls.TlsUtils;
import org.bouncycastle.tls.crypto.TlsCrypto;

/// The server's end: TLS 1.3 with an external key and an ephemeral exchange (RFC 8446, 2.2), TLS
/// 1.2 with the suites of RFC 4279, 5489 and 8442.
final class PskServer extends AbstractTlsServer implements TlsPSKIdentityManager {
  /// The quick ones: a handshake is computed on an event loop before we know who asks for it, and a
  /// guest there must not wait for exponents of 8192 bits.
  private static final int[] GROUPS = {
    NamedGroup.x25519,
    NamedGroup.secp256r1,
    NamedGroup.secp384r1,
    NamedGroup.ffdhe2048,
    NamedGroup.ffdhe3072
  };

  private final PskLookup keys;
  private byte[] user = {};
  private Optional<ClientIdentity.Tls> proved = Optional.empty();

  private PskServer(TlsCrypto crypto, PskLookup keys) {
    super(crypto);
    this.keys = keys;
  }

  static PskMachine begin(TlsCrypto crypto, PskLookup keys) throws IOException {
    PskServer server = new PskServer(crypto, keys);
    Machine machine = new Machine(server);
    machine.accept(server);
    return machine;
  }

  private static final class Machine extends TlsServerProtocol implements PskMachine {
    private final PskServer server;
    private boolean inputEnded;

    Machine(PskServer server) {
      this.server = server;
    }

    @Override
    protected void handleAlertWarningMessage(short description) throws IOException {
      if (description == AlertDescription.close_notify && server.proved.isPresent()) {
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
      return server.proved;
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

  /// Of TLS 1.3.
  @Override
  public int[] getSupportedGroups() {
    return GROUPS.clone();
  }

  @Override
  protected int selectECDH(int bitsMin) {
    IntPredicate isCurve = NamedGroup::refersToASpecificCurve;
    return offered(isCurve).length == 0 ? super.selectECDH(bitsMin) : quick(isCurve);
  }

  @Override
  protected int selectDH(int bitsMin) {
    IntPredicate isField = NamedGroup::isFiniteField;
    return offered(isField).length == 0 ? super.selectDH(bitsMin) : quick(isField);
  }

  /// What a client of TLS 1.2 has, in its order.
  private int[] offered(IntPredicate kind) {
    int[] groups = context.getSecurityParametersHandshake().getClientSupportedGroups();
    return groups == null ? new int[0] : Arrays.stream(groups).filter(kind).toArray();
  }

  /// The first of these that is quick, or -1, which ends the handshake.
  private int quick(IntPredicate kind) {
    return Arrays.stream(offered(kind))
        .filter(group -> Arrays.stream(GROUPS).anyMatch(quick -> quick == group))
        .findFirst()
        .orElse(-1);
  }

  @Override
  public int getMaxHandshakeMessageSize() {
    return PskEndpoint.HANDSHAKE_MESSAGE_BYTES_MAX;
  }

  /// None: without a pre-shared key there is no handshake.
  @Override
  @SuppressWarnings("NullAway") // the way to say so
  public TlsCredentials getCredentials() {
    return null;
  }

  @Override
  public TlsPSKIdentityManager getPSKIdentityManager() {
    return this;
  }

  // TLS 1.2 would let a server hint at which key it means; there is nothing to say.
  @Override
  @SuppressWarnings("NullAway") // the way to say so
  public byte[] getHint() {
    return null;
  }

  @Override
  public byte[] getPSK(byte[] identity) {
    user = identity.clone();
    return keys.key(user);
  }

  @Override
  @SuppressWarnings({"rawtypes", "JdkObsolete"}) // as declared
  public TlsPSKExternal getExternalPSK(Vector identities) {
    // One that we know, if there is one among them, else the first: see PskLookup.
    byte[] chosen = ((PskIdentity) identities.get(0)).getIdentity();
    for (Object identity : identities) {
      byte[] offered = ((PskIdentity) identity).getIdentity();
      if (keys.contains(offered)) {
        chosen = offered;
        break;
      }
    }
    user = chosen.clone();
    return new BasicTlsPSKExternal(user, getCrypto().createSecret(keys.key(user)));
  }

  @Override
  public void notifyHandshakeComplete() throws IOException {
    super.notifyHandshakeComplete();
    ProtocolVersion version = context.getSecurityParametersConnection().getNegotiatedVersion();
    proved =
        Optional.of(
            new ClientIdentity.Tls(
                version.isEqualOrEarlierVersionOf(ProtocolVersion.TLSv12) ? "TLSv1.2" : "TLSv1.3",
                List.of(new String(user, StandardCharsets.UTF_8))));
  }
}
