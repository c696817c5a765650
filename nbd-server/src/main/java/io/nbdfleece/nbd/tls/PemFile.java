// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.List;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.edec.EdECObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.pkcs.RSAPrivateKey;
import org.bouncycastle.asn1.sec.ECPrivateKey;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.util.io.pem.PemObject;
import org.bouncycastle.util.io.pem.PemReader;

/// What stands in one PEM file (RFC 7468). Text around the blocks is skipped. Every failure names
/// the file, what is wrong with it, and where there is something to do, what.
final class PemFile {
  /// Far above any chain or key; a list of a million revoked certificates is 40 MB.
  private static final long FILE_BYTES_MAX = 64L << 20;

  private final Path file;
  private final List<PemObject> blocks = new ArrayList<>();

  private PemFile(Path file) {
    this.file = file;
  }

  static PemFile read(Path file) throws IOException {
    PemFile pem = new PemFile(file);
    try (Reader text = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1);
        PemReader reader = new PemReader(text)) {
      if (Files.size(file) > FILE_BYTES_MAX) {
        throw new IOException("longer than " + (FILE_BYTES_MAX >> 20) + " MiB");
      }
      for (PemObject block = reader.readPemObject();
          block != null;
          block = reader.readPemObject()) {
        pem.blocks.add(block);
      }
    } catch (NoSuchFileException e) {
      throw new IOException(file + ": there is no such file", e);
    } catch (IOException | RuntimeException e) {
      // The reader throws runtime exceptions for broken Base64.
      throw new IOException(file + ": cannot be read: " + e.getMessage(), e);
    }
    return pem;
  }

  IOException wrong(String what, Throwable cause) {
    return new IOException(file + ": " + what, cause);
  }

  IOException wrong(String what) {
    return new IOException(file + ": " + what);
  }

  /// All certificates in the file, at least one.
  List<X509Certificate> certificates() throws IOException {
    List<X509Certificate> certificates = new ArrayList<>();
    try {
      CertificateFactory factory = CertificateFactory.getInstance("X.509");
      for (PemObject block : blocks) {
        if (block.getType().endsWith("CERTIFICATE")) {
          ByteArrayInputStream der = new ByteArrayInputStream(block.getContent());
          certificates.add((X509Certificate) factory.generateCertificate(der));
        }
      }
    } catch (GeneralSecurityException e) {
      throw wrong("a certificate in it cannot be read: " + e.getMessage(), e);
    }
    if (certificates.isEmpty()) {
      throw wrong("holds no certificate (expected: -----BEGIN CERTIFICATE-----)");
    }
    return certificates;
  }

  /// Fails when the certificate is not valid today.
  void requireValidToday(X509Certificate certificate) throws IOException {
    try {
      certificate.checkValidity();
    } catch (CertificateExpiredException e) {
      throw wrong(
          "the certificate of "
              + certificate.getSubjectX500Principal()
              + " has expired on "
              + certificate.getNotAfter().toInstant()
              + ": issue a new one",
          e);
    } catch (CertificateNotYetValidException e) {
      throw wrong(
          "the certificate of "
              + certificate.getSubjectX500Principal()
              + " is not valid before "
              + certificate.getNotBefore().toInstant()
              + ": is the clock right?",
          e);
    }
  }

  /// All revocation lists in the file, at least one.
  List<X509CRL> revocationLists() throws IOException {
    List<X509CRL> lists = new ArrayList<>();
    try {
      CertificateFactory factory = CertificateFactory.getInstance("X.509");
      for (PemObject block : blocks) {
        if (block.getType().endsWith("CRL")) {
          lists.add((X509CRL) factory.generateCRL(new ByteArrayInputStream(block.getContent())));
        }
      }
    } catch (GeneralSecurityException e) {
      throw wrong("a revocation list in it cannot be read: " + e.getMessage(), e);
    }
    if (lists.isEmpty()) {
      throw wrong("holds no revocation list (expected: -----BEGIN X509 CRL-----)");
    }
    return lists;
  }

  /// The first private key in the file: PKCS #8, PKCS #1 (RSA) or SEC 1 (elliptic curves).
  PrivateKey privateKey() throws IOException {
    for (PemObject block : blocks) {
      String type = block.getType();
      if (type.endsWith("PRIVATE KEY")) {
        if (type.startsWith("ENCRYPTED") || !block.getHeaders().isEmpty()) {
          throw wrong("the key is encrypted: store it without a password, readable by us only");
        }
        try {
          return privateKey(type, block.getContent());
        } catch (IOException | GeneralSecurityException | RuntimeException e) {
          throw wrong("the key cannot be read: " + e.getMessage(), e);
        }
      }
    }
    throw wrong("holds no key (expected: -----BEGIN PRIVATE KEY-----)");
  }

  private static PrivateKey privateKey(String type, byte[] der)
      throws IOException, GeneralSecurityException {
    PrivateKeyInfo key =
        switch (type) {
          case "PRIVATE KEY" -> PrivateKeyInfo.getInstance(der);
          case "RSA PRIVATE KEY" ->
              new PrivateKeyInfo(
                  new AlgorithmIdentifier(PKCSObjectIdentifiers.rsaEncryption, DERNull.INSTANCE),
                  RSAPrivateKey.getInstance(der));
          case "EC PRIVATE KEY" -> {
            ECPrivateKey curveKey = ECPrivateKey.getInstance(der);
            yield new PrivateKeyInfo(
                new AlgorithmIdentifier(
                    X9ObjectIdentifiers.id_ecPublicKey, curveKey.getParametersObject()),
                curveKey);
          }
          default -> throw new IOException(type + " (expected: RSA or EC)");
        };
    String algorithm = algorithm(key.getPrivateKeyAlgorithm().getAlgorithm());
    return KeyFactory.getInstance(algorithm)
        .generatePrivate(new PKCS8EncodedKeySpec(key.getEncoded()));
  }

  private static String algorithm(ASN1ObjectIdentifier identifier) throws IOException {
    if (identifier.equals(PKCSObjectIdentifiers.rsaEncryption)) {
      return "RSA";
    } else if (identifier.equals(PKCSObjectIdentifiers.id_RSASSA_PSS)) {
      return "RSASSA-PSS";
    } else if (identifier.equals(X9ObjectIdentifiers.id_ecPublicKey)) {
      return "EC";
    } else if (identifier.equals(EdECObjectIdentifiers.id_Ed25519)
        || identifier.equals(EdECObjectIdentifiers.id_Ed448)) {
      return "EdDSA";
    }
    throw new IOException("algorithm " + identifier + " (expected: RSA, EC, Ed25519 or Ed448)");
  }
}
