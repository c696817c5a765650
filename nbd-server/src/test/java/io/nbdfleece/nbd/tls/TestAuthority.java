// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import javax.security.auth.x500.X500Principal;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.CRLReason;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.cert.X509v2CRLBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/// A certificate authority of a test, which writes directories as all NBD programs lay them out.
@SuppressWarnings("JavaUtilDate") // as Bouncy Castle wants it
public final class TestAuthority {
  private static final Duration DAY = Duration.ofDays(1);

  private final AtomicLong serial = new AtomicLong(System.nanoTime());
  private final KeyPair keys = ecKeys();
  private final X500Principal name;
  private final X509Certificate certificate;

  /// A certificate, its key, and the names in it.
  public record Issued(X509Certificate certificate, PrivateKey key) {}

  public TestAuthority(String commonName) {
    name = new X500Principal("CN=" + commonName);
    certificate = sign(name, keys, Instant.now().plus(DAY), true, List.of());
  }

  static KeyPair ecKeys() {
    return keys("EC", 256);
  }

  static KeyPair keys(String algorithm, int bits) {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm);
      generator.initialize(bits);
      return generator.generateKeyPair();
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /// A certificate that is valid today. An alternative name of digits and dots is an address.
  public Issued issue(String commonName, String... alternativeNames) {
    return issue(commonName, ecKeys(), Instant.now().plus(DAY), alternativeNames);
  }

  Issued issue(String commonName, KeyPair owner, Instant end, String... alternativeNames) {
    List<GeneralName> names = new ArrayList<>();
    for (String alternative : alternativeNames) {
      boolean isAddress = alternative.matches("[0-9.]+");
      names.add(
          new GeneralName(isAddress ? GeneralName.iPAddress : GeneralName.dNSName, alternative));
    }
    X500Principal subject = new X500Principal("CN=" + commonName + ",O=Test");
    return new Issued(sign(subject, owner, end, false, names), owner.getPrivate());
  }

  private X509Certificate sign(
      X500Principal subject,
      KeyPair owner,
      Instant end,
      boolean isAuthority,
      List<GeneralName> names) {
    try {
      JcaX509v3CertificateBuilder builder =
          new JcaX509v3CertificateBuilder(
              name,
              BigInteger.valueOf(serial.incrementAndGet()),
              Date.from(end.minus(DAY.multipliedBy(3))),
              Date.from(end),
              subject,
              owner.getPublic());
      builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(isAuthority));
      if (!names.isEmpty()) {
        builder.addExtension(
            Extension.subjectAlternativeName,
            false,
            new GeneralNames(names.toArray(GeneralName[]::new)));
      }
      return new JcaX509CertificateConverter()
          .getCertificate(
              builder.build(
                  new JcaContentSignerBuilder("SHA256withECDSA").build(keys.getPrivate())));
    } catch (IOException | GeneralSecurityException | OperatorCreationException e) {
      throw new IllegalStateException(e);
    }
  }

  /// With RSA: GnuTLS reads elliptic keys with the public half in them only, which Java leaves out.
  private Issued forPeers(String commonName, String... alternativeNames) {
    return issue(commonName, keys("RSA", 2048), Instant.now().plus(DAY), alternativeNames);
  }

  /// A directory that a server uses, for `localhost` and 127.0.0.1.
  public Path serverDirectory(Path directory) throws IOException {
    return write(directory, "server", forPeers("server", "localhost", "127.0.0.1"));
  }

  /// A directory that a client uses, with a certificate of its own.
  public Path clientDirectory(Path directory, String commonName) throws IOException {
    return write(directory, "client", forPeers(commonName));
  }

  Path write(Path directory, String role, Issued own) throws IOException {
    Files.createDirectories(directory);
    Files.writeString(directory.resolve("ca-cert.pem"), pem("CERTIFICATE", der(certificate)));
    Files.writeString(
        directory.resolve(role + "-cert.pem"),
        "a text before\n" + pem("CERTIFICATE", der(own.certificate())));
    Files.writeString(
        directory.resolve(role + "-key.pem"), pem("PRIVATE KEY", own.key().getEncoded()));
    return directory;
  }

  /// Writes `ca-crl.pem`.
  void revoke(Path directory, Issued revoked, Instant nextUpdate) throws IOException {
    X509v2CRLBuilder builder =
        new X509v2CRLBuilder(X500Name.getInstance(name.getEncoded()), new Date());
    builder.setNextUpdate(Date.from(nextUpdate));
    builder.addCRLEntry(
        revoked.certificate().getSerialNumber(), new Date(), CRLReason.keyCompromise);
    try {
      byte[] list =
          builder
              .build(new JcaContentSignerBuilder("SHA256withECDSA").build(keys.getPrivate()))
              .getEncoded();
      Files.writeString(directory.resolve("ca-crl.pem"), pem("X509 CRL", list));
    } catch (OperatorCreationException e) {
      throw new IllegalStateException(e);
    }
  }

  static String pem(String type, byte[] der) {
    return "-----BEGIN "
        + type
        + "-----\n"
        + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der)
        + "\n-----END "
        + type
        + "-----\n";
  }

  private static byte[] der(X509Certificate certificate) {
    try {
      return certificate.getEncoded();
    } catch (GeneralSecurityException e) {
      throw new UncheckedIOException(new IOException(e));
    }
  }
}
