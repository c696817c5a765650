// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/// The server's keys. A user that is not there has one as well, which nobody can know: so a wrong
/// user fails at the same step, with the same alert, as a wrong key, and who tries users learns
/// nothing. Thread-safe.
final class PskLookup {
  private static final String ALGORITHM = "HmacSHA256";

  private final PskFile file;
  private final SecretKeySpec secret;

  PskLookup(PskFile file) {
    this.file = file;
    byte[] bytes = new byte[32];
    new SecureRandom().nextBytes(bytes);
    secret = new SecretKeySpec(bytes, ALGORITHM);
  }

  boolean contains(byte[] user) {
    return file.key(user).isPresent();
  }

  /// A copy that the caller may wipe.
  byte[] key(byte[] user) {
    // Made in any case, so that a user that is there takes as long.
    byte[] unknowable;
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(secret);
      unknowable = mac.doFinal(user);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("this Java has no " + ALGORITHM, e);
    }
    return file.key(user).orElse(unknowable);
  }
}
