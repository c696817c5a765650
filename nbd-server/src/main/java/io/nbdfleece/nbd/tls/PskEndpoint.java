// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import io.netty.channel.Channel;
import io.netty.util.concurrent.Future;
import io.netty.util.concurrent.Promise;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.SecureRandom;
import org.bouncycastle.tls.CipherSuite;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.crypto.TlsCrypto;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCryptoProvider;

/// Pre-shared keys, by Bouncy Castle's low-level protocol, since the JDK has none; the ciphers are
/// the JDK's own, which are many times faster. Thread-safe.
final class PskEndpoint implements TlsEndpoint {
  /// Every one gives forward secrecy. A key from a file goes with SHA-256 (RFC 8446, 4.2.11), so
  /// TLS 1.3 has no suite with SHA-384 here. With GnuTLS under TLS 1.2 only those of DHE are
  /// common.
  static final int[] SUITES = {
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384,
    CipherSuite.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_DHE_PSK_WITH_AES_256_GCM_SHA384,
    CipherSuite.TLS_DHE_PSK_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256,
    CipherSuite.TLS_DHE_PSK_WITH_AES_128_CBC_SHA256,
  };

  static final ProtocolVersion[] VERSIONS = {ProtocolVersion.TLSv13, ProtocolVersion.TLSv12};

  /// Longest message of a handshake that is taken; ours need a few hundred bytes.
  static final int HANDSHAKE_MESSAGE_BYTES_MAX = 16 << 10;

  /// Makes the machine of one connection.
  @FunctionalInterface
  private interface MachineFactory {
    PskMachine create(TlsCrypto crypto) throws IOException;
  }

  private final TlsCrypto crypto = new JcaTlsCryptoProvider().create(new SecureRandom());
  private final MachineFactory machines;

  private PskEndpoint(MachineFactory machines) {
    this.machines = machines;
  }

  static PskEndpoint server(Path file) throws IOException {
    PskLookup keys = new PskLookup(PskFile.read(file));
    return new PskEndpoint(crypto -> PskServer.begin(crypto, keys));
  }

  static PskEndpoint client(Path file, String user) throws IOException {
    if (user.isEmpty()) {
      throw new IOException(file + ": no user was given: put one in the URI, nbds://user@host");
    }
    byte[] identity = user.getBytes(StandardCharsets.UTF_8);
    PskFile keys = PskFile.read(file);
    if (keys.key(identity).isEmpty()) {
      throw new IOException(
          file + ": holds no key of user " + user + ": name one that it has, nbds://user@host");
    }
    return new PskEndpoint(
        crypto -> PskClient.begin(crypto, identity, keys.key(identity).orElseThrow()));
  }

  @Override
  public Future<ClientIdentity.Tls> encrypt(Channel channel) {
    Promise<ClientIdentity.Tls> proved = channel.eventLoop().newPromise();
    try {
      channel.pipeline().addFirst(new PskHandler(machines.create(crypto), proved));
    } catch (IOException e) {
      proved.setFailure(e);
    }
    return proved;
  }
}
