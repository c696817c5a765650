// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import java.io.IOException;

/// A value is not of the type that the schema says. The message is QEMU's.
public final class SchemaMismatch extends IOException {
  private static final long serialVersionUID = 1;

  SchemaMismatch(String message) {
    super(message);
  }
}
