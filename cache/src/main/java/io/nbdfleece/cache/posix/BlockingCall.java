// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.io.IOException;

/// Something that may wait for a device.
@FunctionalInterface
public interface BlockingCall {

  /// Does it.
  void run() throws IOException;
}
