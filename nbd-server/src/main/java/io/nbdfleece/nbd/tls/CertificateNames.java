// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.SequencedSet;
import javax.security.auth.x500.X500Principal;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x500.style.IETFUtils;

/// What a certificate says its owner is called.
final class CertificateNames {
  // GeneralName (RFC 5280, 4.2.1.6).
  private static final int MAIL = 1;
  private static final int DNS = 2;
  private static final int URI = 6;
  private static final int ADDRESS = 7;

  private CertificateNames() {}

  /// The subject (RFC 2253), its common names, the subject alternative names that are texts.
  static List<String> of(X509Certificate certificate) throws CertificateParsingException {
    SequencedSet<String> names = new LinkedHashSet<>();
    X500Principal subject = certificate.getSubjectX500Principal();
    if (!subject.getName().isEmpty()) {
      names.add(subject.getName(X500Principal.RFC2253));
    }
    for (RDN part : X500Name.getInstance(subject.getEncoded()).getRDNs(BCStyle.CN)) {
      for (var attribute : part.getTypesAndValues()) {
        if (attribute.getType().equals(BCStyle.CN)) {
          names.add(IETFUtils.valueToString(attribute.getValue()));
        }
      }
    }
    Collection<List<?>> alternatives = certificate.getSubjectAlternativeNames();
    if (alternatives != null) {
      for (List<?> alternative : alternatives) {
        if (alternative.get(0) instanceof Integer type
            && (type == MAIL || type == DNS || type == URI || type == ADDRESS)
            && alternative.get(1) instanceof String name) {
          names.add(name);
        }
      }
    }
    return new ArrayList<>(names);
  }
}
