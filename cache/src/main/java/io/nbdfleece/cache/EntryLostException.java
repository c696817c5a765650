// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;

/// The disk tier holds the bytes of an entry no more: it cannot be read, or its checksum is wrong,
/// twice. Reading it again is of no use.
public final class EntryLostException extends IOException {
  private static final long serialVersionUID = 1;

  EntryLostException(String message, Throwable cause) {
    super(message, cause);
  }

  EntryLostException(String message) {
    super(message);
  }
}
