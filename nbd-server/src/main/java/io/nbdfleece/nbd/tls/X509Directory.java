// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.security.interfaces.RSAKey;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

/// The files of one end, read and checked against one another.
///
/// @param certificate with which this end proves itself; a client may have none
/// @param trust checks the other end against `ca-cert.pem` and, if there is one, `ca-crl.pem`
record X509Directory(Optional<Identity> certificate, X509ExtendedTrustManager trust) {

  /// @param chain own certificate first
  record Identity(PrivateKey key, List<X509Certificate> chain) {
    Identity {
      chain = List.copyOf(chain);
    }
  }

  static X509Directory ofServer(Path directory) throws IOException {
    requireDirectory(directory);
    return new X509Directory(Optional.of(identity(directory, "server")), trust(directory));
  }

  static X509Directory ofClient(Path directory) throws IOException {
    requireDirectory(directory);
    boolean hasOwn =
        Files.exists(directory.resolve("client-cert.pem"))
            || Files.exists(directory.resolve("client-key.pem"));
    return new X509Directory(
        hasOwn ? Optional.of(identity(directory, "client")) : Optional.empty(), trust(directory));
  }

  private static void requireDirectory(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      throw new IOException(directory + ": is not a directory (expected: one with ca-cert.pem)");
    }
  }

  private static Identity identity(Path directory, String role) throws IOException {
    PemFile certificateFile = PemFile.read(directory.resolve(role + "-cert.pem"));
    List<X509Certificate> chain = certificateFile.certificates();
    certificateFile.requireValidToday(chain.getFirst());
    PemFile keyFile = PemFile.read(directory.resolve(role + "-key.pem"));
    PrivateKey key = keyFile.privateKey();
    try {
      if (!belongTogether(key, chain.getFirst().getPublicKey())) {
        throw keyFile.wrong(
            "does not belong to the certificate in " + directory.resolve(role + "-cert.pem"));
      }
    } catch (GeneralSecurityException e) {
      throw keyFile.wrong("cannot be used with the certificate: " + e.getMessage(), e);
    }
    return new Identity(key, chain);
  }

  private static boolean belongTogether(PrivateKey ours, PublicKey shown)
      throws GeneralSecurityException {
    if (ours instanceof RSAKey a && shown instanceof RSAKey b) {
      return a.getModulus().equals(b.getModulus());
    }
    if (!ours.getAlgorithm().equals(shown.getAlgorithm())) {
      return false;
    }
    String algorithm = ours.getAlgorithm().equals("EC") ? "SHA256withECDSA" : ours.getAlgorithm();
    byte[] probe = {1, 2, 3};
    Signature signature = Signature.getInstance(algorithm);
    signature.initSign(ours);
    signature.update(probe);
    byte[] signed = signature.sign();
    signature.initVerify(shown);
    signature.update(probe);
    return signature.verify(signed);
  }

  private static X509ExtendedTrustManager trust(Path directory) throws IOException {
    PemFile file = PemFile.read(directory.resolve("ca-cert.pem"));
    List<X509Certificate> authorities = file.certificates();
    try {
      KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
      store.load(null, null);
      for (X509Certificate authority : authorities) {
        file.requireValidToday(authority);
        store.setCertificateEntry("authority-" + store.size(), authority);
      }
      TrustManagerFactory factory =
          TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      factory.init(store);
      X509ExtendedTrustManager trust = first(factory.getTrustManagers());
      Path listFile = directory.resolve("ca-crl.pem");
      return new RevocationTrust(
          trust,
          Files.exists(listFile) ? revocations(PemFile.read(listFile), authorities) : List.of());
    } catch (GeneralSecurityException e) {
      throw file.wrong("cannot be used: " + e.getMessage(), e);
    }
  }

  private static X509ExtendedTrustManager first(TrustManager[] managers)
      throws GeneralSecurityException {
    for (TrustManager manager : managers) {
      if (manager instanceof X509ExtendedTrustManager trust) {
        return trust;
      }
    }
    throw new GeneralSecurityException("this Java checks no certificates");
  }

  /// Lists that none of the authorities has signed, and outdated ones, are refused: to accept them
  /// would be to take every certificate for good.
  private static List<X509CRL> revocations(PemFile file, List<X509Certificate> authorities)
      throws IOException {
    List<X509CRL> lists = new ArrayList<>();
    for (X509CRL list : file.revocationLists()) {
      if (authorities.stream().noneMatch(authority -> hasSigned(authority, list))) {
        throw file.wrong(
            "the list of "
                + list.getIssuerX500Principal()
                + " was not signed by an authority in ca-cert.pem");
      }
      if (RevocationTrust.isOutdated(list)) {
        throw file.wrong(
            "the list of "
                + list.getIssuerX500Principal()
                + " is out of date since "
                + list.getNextUpdate().toInstant()
                + ": get a new one");
      }
      lists.add(list);
    }
    return lists;
  }

  private static boolean hasSigned(X509Certificate authority, X509CRL list) {
    if (!authority.getSubjectX500Principal().equals(list.getIssuerX500Principal())) {
      return false;
    }
    try {
      list.verify(authority.getPublicKey());
      return true;
    } catch (GeneralSecurityException e) {
      return false;
    }
  }
}
