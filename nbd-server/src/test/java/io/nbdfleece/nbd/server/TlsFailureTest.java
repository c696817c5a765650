// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.netty.handler.ssl.NotSslRecordException;
import org.junit.jupiter.api.Test;

final class TlsFailureTest {

  /// Else anybody could fill the log with kilobytes of anything.
  @Test
  void whatIsNoTlsIsNotRepeated() {
    assertEquals(
        "what the client sent is not TLS",
        TlsFailure.text(new NotSslRecordException("not an SSL/TLS record: 0001")));
  }
}
